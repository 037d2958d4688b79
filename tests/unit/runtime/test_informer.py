"""The informer on an API server in memory, step by step under a virtual clock.

What it does in a thread, and on a real API server too, is in ``tests/contract/kube``.
"""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from controller.kube.api import EventType, Json, Page, WatchEvent
from controller.kube.faults import (
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    ThrottledError,
    UnreachableError,
)
from controller.kube.resources import CONFIG_MAPS, RAY_JOBS, Resource
from controller.runtime.cache import Cache, key_of
from controller.runtime.informer import Informer, Timing
from controller.runtime.listing import MAX_RESTARTS, Watched, fetch_listing
from controller.runtime.projection import without, without_bulk
from tests.doubles.api_kinds import custom
from tests.doubles.api_server import ApiServer, Verb

UNREACHABLE = UnreachableError("api server: no answer, got none; wait", reason="Unreachable")
GONE = GoneError("list: too old, got 1; list anew", reason="Expired", status_code=410)
FORBIDDEN = ForbiddenError("rayjobs: not allowed, got list; add a rule", reason="Forbidden")


class FixedRandom(random.Random):
    """Gives the lower end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return a


@dataclass
class StillClock:
    """Goes only when it is told to."""

    now_s: float = 0.0

    def now(self) -> float:
        return self.now_s

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        raise AssertionError("nothing waits in a single step")


@dataclass
class Setting:
    """A server, an informer on it, what its handlers were told, and the time."""

    server: ApiServer
    watched: Watched = field(default_factory=lambda: Watched(resource=RAY_JOBS))
    timing: Timing = field(default_factory=Timing)
    clock: StillClock = field(default_factory=StillClock)
    told: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache = Cache(project=without("spec.bulk"))
        self.informer = Informer(
            self.server,
            self.watched,
            cache=self.cache,
            timing=self.timing,
            clock=self.clock,
            rng=FixedRandom(),
        )
        self.informer.add_handler(self._tell)

    def _tell(self, old: Json | None, new: Json | None) -> None:
        key = key_of(new or old or {})
        self.told.append((key, mark_of(old), mark_of(new)))

    def take_told(self) -> list[tuple[str, str | None, str | None]]:
        told, self.told[:] = list(self.told), []
        return told

    def settle(self) -> None:
        """Steps until nothing fails, waiting as told."""
        while (delay_s := self.informer.pump()) > 0:
            self.clock.now_s += delay_s


def mark_of(obj: Json | None) -> str | None:
    return None if obj is None else str(obj["spec"]["mark"])


def make_setting(**fields: object) -> Setting:
    return Setting(server=ApiServer(), **fields)  # type: ignore[arg-type]


def create(
    server: ApiServer, name: str, mark: str = "1", *, resource: Resource = RAY_JOBS, **labels: str
) -> Json:
    meta = {"name": name, "namespace": "default", "labels": labels}
    return server.create(resource, {"metadata": meta, "spec": {"mark": mark, "bulk": "x" * 9}})


def change(server: ApiServer, name: str, mark: str) -> None:
    patch = {"spec": {"mark": mark}}
    server.merge(RAY_JOBS, namespace="default", name=name, patch=patch)


def delete(server: ApiServer, name: str) -> None:
    found = server.fetch(RAY_JOBS, namespace="default", name=name)
    server.delete(RAY_JOBS, namespace="default", name=name, uid=found["metadata"]["uid"])


def assert_same(setting: Setting) -> None:
    """The cache is a projection of what the server holds."""
    want = [without("spec.bulk")(obj) for obj in setting.server.objects(setting.watched.resource)]
    assert setting.cache.objects() == sorted(want, key=key_of)


def fail_once(server: ApiServer, verb: Verb, *errors: Exception) -> None:
    """The next requests of this verb get these errors."""
    left = list(errors)

    def fault(met: Verb, *_: object) -> Exception | None:
        return left.pop(0) if met == verb and left else None

    server.fault = fault


def test_the_first_step_fills_the_cache_and_tells_of_each_object() -> None:
    setting = make_setting()
    create(setting.server, "b")
    create(setting.server, "a", "7")
    assert setting.informer.has_synced is False
    assert setting.informer.pump() == 0.0
    assert setting.informer.has_synced is True
    assert setting.take_told() == [("default/a", None, "7"), ("default/b", None, "1")]
    assert_same(setting)


def test_an_empty_kind_is_synced_too() -> None:
    setting = make_setting()
    setting.informer.pump()
    assert setting.informer.has_synced is True
    assert len(setting.cache) == 0


def test_what_is_kept_is_the_projection() -> None:
    setting = make_setting()
    create(setting.server, "a")
    setting.informer.pump()
    create(setting.server, "b")
    setting.informer.pump()
    assert [obj["spec"] for obj in setting.cache.objects()] == [{"mark": "1"}, {"mark": "1"}]


def test_changes_are_told_in_order_as_before_and_after() -> None:
    setting = make_setting()
    setting.informer.pump()
    create(setting.server, "a", "1")
    change(setting.server, "a", "2")
    delete(setting.server, "a")
    create(setting.server, "a", "3")
    setting.informer.pump()
    assert setting.take_told() == [
        ("default/a", None, "1"),
        ("default/a", "1", "2"),
        ("default/a", "2", None),
        ("default/a", None, "3"),
    ]
    assert setting.informer.stats.num_lists == 1


def test_objects_of_a_built_in_kind_name_it_from_list_and_from_watch() -> None:
    setting = make_setting(watched=Watched(resource=CONFIG_MAPS))
    create(setting.server, "listed", resource=CONFIG_MAPS)
    setting.informer.pump()
    create(setting.server, "watched", resource=CONFIG_MAPS)
    setting.informer.pump()
    kinds = {(obj["apiVersion"], obj["kind"]) for obj in setting.cache.objects()}
    assert kinds == {("v1", "ConfigMap")}
    assert len(setting.cache) == 2


def test_only_the_labelled_objects_are_kept_and_one_that_loses_its_label_goes() -> None:
    setting = make_setting(watched=Watched(resource=RAY_JOBS, labels="job=x"))
    create(setting.server, "mine", job="x")
    create(setting.server, "other", job="y")
    setting.informer.pump()
    assert setting.cache.keys() == ["default/mine"]
    patch = {"metadata": {"labels": {"job": None}}}
    setting.server.merge(RAY_JOBS, namespace="default", name="mine", patch=patch)
    setting.informer.pump()
    assert setting.cache.keys() == []
    assert setting.take_told()[-1] == ("default/mine", "1", None)


def test_only_the_objects_of_the_namespace_are_kept() -> None:
    setting = make_setting(watched=Watched(resource=CONFIG_MAPS, namespace="default"))
    setting.server.add_namespace("other")
    for when in ("listed", "watched"):
        create(setting.server, when, resource=CONFIG_MAPS)
        body = {"metadata": {"name": when, "namespace": "other"}}
        setting.server.create(CONFIG_MAPS, body)
        setting.informer.pump()
    assert setting.cache.keys() == ["default/listed", "default/watched"]


def test_pages_show_one_moment_whatever_changes_between_them() -> None:
    server = ApiServer()
    for name in "abcde":
        create(server, name)

    def fault(verb: Verb, *_: object) -> None:
        server.fault = None
        if verb == Verb.LIST:
            server.fault = change_then_answer

    def change_then_answer(*_: object) -> None:
        server.fault = None
        delete(server, "e")
        create(server, "f")

    server.fault = fault
    watched = Watched(resource=RAY_JOBS, page_size=2)
    version = server.version
    listing = fetch_listing(server, watched, project=without_bulk)
    assert [key_of(obj)[-1] for obj in listing.objects] == list("abcde")
    assert listing.version == version


def test_a_list_whose_next_page_is_gone_begins_anew() -> None:
    setting = make_setting(watched=Watched(resource=RAY_JOBS, page_size=2))
    for name in "abcde":
        create(setting.server, name)
    num_pages = 0

    def fault(verb: Verb, *_: object) -> None:
        nonlocal num_pages
        num_pages += verb == Verb.LIST
        if verb == Verb.LIST and num_pages == 2:
            create(setting.server, "f")
            delete(setting.server, "a")
            setting.server.compact()

    setting.server.fault = fault
    assert setting.informer.pump() == 0.0
    assert num_pages == 2 + 3
    assert setting.informer.stats.num_failures == 0
    assert [key for key, _, _ in setting.take_told()] == [f"default/{name}" for name in "bcdef"]
    assert_same(setting)


def test_a_list_that_is_always_gone_is_tried_again_later() -> None:
    setting = make_setting()
    fail_once(setting.server, Verb.LIST, *[GONE] * 2 * (MAX_RESTARTS + 1))
    assert setting.informer.pump() == 0.8
    assert setting.informer.has_synced is False
    assert setting.informer.pump() == 0.0


@pytest.mark.parametrize("as_status", [True, False], ids=["status", "event"])
def test_a_watch_from_too_old_a_version_lists_anew_and_tells_of_what_went(as_status: bool) -> None:
    setting = make_setting()
    setting.server.network.gone_as_status = as_status
    for name in ("gone", "kept", "changed"):
        create(setting.server, name)
    setting.informer.pump()
    setting.take_told()
    delete(setting.server, "gone")
    change(setting.server, "changed", "2")
    create(setting.server, "new")
    setting.server.compact()
    assert setting.informer.pump() == 0.0
    assert setting.take_told() == [
        ("default/changed", "1", "2"),
        ("default/gone", "1", None),
        ("default/new", None, "1"),
    ]
    assert_same(setting)


def test_an_object_made_anew_unseen_is_an_end_and_a_beginning() -> None:
    setting = make_setting()
    create(setting.server, "a", "old")
    setting.informer.pump()
    setting.take_told()
    delete(setting.server, "a")
    create(setting.server, "a", "new")
    setting.server.compact()
    setting.informer.pump()
    assert setting.take_told() == [("default/a", "old", None), ("default/a", None, "new")]


def test_bookmarks_keep_the_place_so_that_a_quiet_kind_is_not_listed_again() -> None:
    setting = make_setting()
    setting.informer.pump()
    for number in range(5):
        create(setting.server, f"other-{number}", resource=CONFIG_MAPS)
    setting.informer.pump()
    setting.server.compact()
    assert setting.informer.pump() == 0.0
    assert setting.informer.stats.num_lists == 1
    assert setting.take_told() == []


def test_a_silent_connection_is_given_up_and_nothing_is_lost() -> None:
    setting = make_setting()
    setting.informer.pump()
    setting.server.network.silence(RAY_JOBS, num_next=1)
    create(setting.server, "a")
    assert setting.informer.pump() == 0.8
    assert setting.take_told() == []
    assert setting.informer.pump() == 0.0
    assert setting.take_told() == [("default/a", None, "1")]
    assert setting.informer.stats.num_lists == 1


def test_the_api_is_told_how_long_a_watch_and_its_silence_may_last() -> None:
    asked: list[tuple[float, float]] = []

    class Recording(ApiServer):
        def watch(self, resource: Resource, **asking: object):  # type: ignore[no-untyped-def,override]
            asked.append((asking["timeout_s"], asking["silence_s"]))  # type: ignore[arg-type]
            return super().watch(resource, **{**asking, "timeout_s": 0.0})  # type: ignore[arg-type]

    setting = Setting(server=Recording(), timing=Timing(silence_s=45.0, short_watch_s=0.0))
    setting.informer.step(timeout_s=321.0)
    assert asked == [(321.0, 45.0)]


def test_a_watch_ends_before_a_quiet_kind_could_seem_dead() -> None:
    assert 2 * Timing().watch_s < Timing().silence_s


def test_events_held_back_come_later_in_their_order() -> None:
    setting = make_setting()
    setting.informer.pump()
    setting.server.network.hold(RAY_JOBS)
    create(setting.server, "a", "1")
    change(setting.server, "a", "2")
    setting.informer.pump()
    assert setting.take_told() == []
    setting.server.network.release(RAY_JOBS)
    setting.informer.pump()
    assert setting.take_told() == [("default/a", None, "1"), ("default/a", "1", "2")]


def test_lost_events_are_made_good_by_the_list_that_comes_in_any_case() -> None:
    setting = make_setting(timing=Timing(relist_s=600.0))
    create(setting.server, "gone")
    setting.informer.pump()
    setting.take_told()
    setting.server.network.is_lost = lambda _, __: True
    create(setting.server, "new")
    delete(setting.server, "gone")
    setting.informer.pump()
    assert setting.take_told() == []
    setting.clock.now_s += 600.0
    setting.informer.pump()
    assert setting.take_told() == [("default/gone", "1", None), ("default/new", None, "1")]
    assert_same(setting)


def test_an_error_is_retried_with_growing_delays_and_forgotten_at_success() -> None:
    setting = make_setting()
    fail_once(setting.server, Verb.LIST, *[UNREACHABLE] * 8)
    delays = [setting.informer.pump() for _ in range(8)]
    assert delays == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert setting.informer.stats.last_error == UNREACHABLE.message
    assert setting.informer.pump() == 0.0
    assert setting.informer.stats.last_error == ""
    fail_once(setting.server, Verb.WATCH, UNREACHABLE)
    assert setting.informer.pump() == 0.8


def test_a_watch_that_breaks_after_a_long_time_is_no_second_failure() -> None:
    class Slow(ApiServer):
        def watch(self, resource: Resource, **asking: object):  # type: ignore[no-untyped-def,override]
            setting.clock.now_s += 90.0
            raise UNREACHABLE

    setting = Setting(server=Slow())
    assert [setting.informer.pump() for _ in range(10)] == [0.8] * 10
    assert setting.informer.stats.num_lists == 1


def test_a_failure_that_goes_on_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    setting = make_setting()
    fail_once(setting.server, Verb.LIST, *[UNREACHABLE] * 12)
    with caplog.at_level("INFO"):
        setting.settle()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"watching failed kind=RayJob error={UNREACHABLE}"),
        ("INFO", "cache is filled kind=RayJob objects=0"),
        ("INFO", "watching goes on kind=RayJob"),
    ]


def test_chance_makes_a_delay_longer_by_half_at_most() -> None:
    setting = make_setting()
    setting.informer = Informer(
        setting.server,
        setting.watched,
        cache=setting.cache,
        clock=setting.clock,
        rng=random.Random(5),
    )
    fail_once(setting.server, Verb.LIST, *[UNREACHABLE] * 2)
    first, second = setting.informer.pump(), setting.informer.pump()
    assert 0.8 <= first <= 1.2
    assert 1.6 <= second <= 2.4


def test_a_throttled_request_waits_as_long_as_the_server_says() -> None:
    setting = make_setting()
    throttled = ThrottledError("api server: too busy, got 429", reason="Throttled", delay_s=17.0)
    fail_once(setting.server, Verb.LIST, throttled)
    assert setting.informer.pump() == 17.0
    assert setting.informer.pump() == 0.0


@pytest.mark.parametrize("error", [UNREACHABLE, FORBIDDEN], ids=["unreachable", "forbidden"])
def test_a_watch_that_fails_goes_on_where_it_was(error: Exception) -> None:
    setting = make_setting()
    create(setting.server, "a")
    setting.informer.pump()
    fail_once(setting.server, Verb.WATCH, error)
    change(setting.server, "a", "2")
    assert setting.informer.pump() == 0.8
    assert setting.informer.pump() == 0.0
    assert setting.take_told() == [("default/a", None, "1"), ("default/a", "1", "2")]
    assert setting.informer.stats.num_lists == 1


def test_a_version_that_is_refused_leads_to_a_new_list() -> None:
    setting = make_setting()
    setting.informer.pump()
    refused = InvalidError("watch: no such version, got 9; list anew", reason="BadRequest")
    fail_once(setting.server, Verb.WATCH, refused)
    assert setting.informer.pump() == 0.8
    assert setting.informer.pump() == 0.0
    assert setting.informer.stats.num_lists == 2


def test_a_watch_that_keeps_failing_leads_to_a_new_list() -> None:
    setting = make_setting()
    setting.informer.pump()
    fail_once(setting.server, Verb.WATCH, *[UNREACHABLE] * 6)
    setting.settle()
    assert setting.informer.stats.num_lists == 2


def test_a_watch_that_ends_at_once_without_an_event_is_not_hammered() -> None:
    class Ending(ApiServer):
        def watch(self, resource: Resource, **asking: object):  # type: ignore[no-untyped-def,override]
            return super().watch(resource, **{**asking, "timeout_s": 0.0})  # type: ignore[arg-type]

    setting = Setting(server=Ending())
    assert [setting.informer.step(timeout_s=300.0) for _ in range(3)] == [0.8, 1.6, 3.2]


def test_a_kind_without_its_crd_is_missing_until_it_is_installed() -> None:
    server = ApiServer(kinds=())
    setting = Setting(server=server)
    assert setting.informer.pump() == 0.8
    assert setting.informer.is_missing is True
    assert setting.informer.has_synced is False
    server.serve(custom(RAY_JOBS))
    create(server, "a")
    assert setting.informer.pump() == 0.0
    assert setting.informer.is_missing is False
    assert setting.informer.has_synced is True
    assert setting.take_told() == [("default/a", None, "1")]


def test_a_kind_that_vanishes_proves_nothing_about_its_objects() -> None:
    setting = make_setting()
    create(setting.server, "a")
    setting.informer.pump()
    missing = NotFoundError("rayjobs: not found", reason="NotFound", status_code=404)
    fail_once(setting.server, Verb.WATCH, missing)
    assert setting.informer.pump() == 0.8
    assert setting.informer.is_missing is True
    assert setting.cache.keys() == ["default/a"]
    delete(setting.server, "a")
    setting.informer.pump()
    assert setting.cache.keys() == []
    assert setting.take_told() == [("default/a", None, "1"), ("default/a", "1", None)]


def test_a_handler_that_fails_keeps_nobody_from_hearing_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setting = make_setting()
    seen: list[str] = []

    def handle(old: Json | None, new: Json | None) -> None:
        key = key_of(new or old or {})
        if key == "default/b":
            raise RuntimeError("bug")
        seen.append(key)

    setting.informer.add_handler(handle)
    setting.informer.add_handler(lambda _, new: seen.append(f"again {key_of(new or {})}"))
    create(setting.server, "a")
    create(setting.server, "b")
    setting.informer.pump()
    create(setting.server, "c")
    setting.informer.pump()
    assert seen == [
        "default/a",
        "again default/a",
        "again default/b",
        "default/c",
        "again default/c",
    ]
    assert setting.informer.stats.num_bugs == 1
    assert "handler failed kind=RayJob key=default/b" in caplog.text
    assert_same(setting)


class CutReads:
    """The server's reads, with watches that break after so many events."""

    def __init__(self, server: ApiServer, rng: random.Random) -> None:
        self._server = server
        self._rng = rng

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        return self._server.fetch(resource, namespace=namespace, name=name)

    def list_page(self, resource: Resource, **asking: object) -> Page:
        if self._rng.random() < 0.2:
            raise self._rng.choice([UNREACHABLE, GONE])
        return self._server.list_page(resource, **asking)  # type: ignore[arg-type]

    def watch(self, resource: Resource, **asking: object):  # type: ignore[no-untyped-def]
        inner = self._server.watch(resource, **asking)  # type: ignore[arg-type]
        rng = self._rng

        class Cut:
            def __enter__(self) -> Iterator[WatchEvent]:
                return self._events(inner.__enter__())

            def __exit__(self, *args: object) -> None:
                inner.__exit__(None, None, None)

            def _events(self, events: Iterator[WatchEvent]) -> Iterator[WatchEvent]:
                for event in events:
                    if rng.random() < 0.3:
                        raise rng.choice([UNREACHABLE, GONE])
                    yield event

        return Cut()


@pytest.mark.parametrize("seed", range(60))
def test_random_changes_and_faults_end_in_the_servers_state_told_in_order(seed: int) -> None:
    rng = random.Random(seed)
    setting = make_setting()
    setting.informer = Informer(
        CutReads(setting.server, rng),
        Watched(resource=RAY_JOBS, page_size=2),
        cache=setting.cache,
        clock=setting.clock,
        rng=rng,
    )
    model: dict[str, str] = {}
    wrong: list[str] = []

    def follow(old: Json | None, new: Json | None) -> None:
        key = key_of(new or old or {})
        if model.get(key) != (old and old["metadata"]["uid"]):
            wrong.append(key)
        model.pop(key, None)
        if new is not None:
            model[key] = new["metadata"]["uid"]

    setting.informer.add_handler(follow)
    for number in range(60):
        name = rng.choice("abcde")
        there = {obj["metadata"]["name"] for obj in setting.server.objects(RAY_JOBS)}
        if name not in there:
            create(setting.server, name, str(number))
        elif rng.random() < 0.5:
            delete(setting.server, name)
        else:
            change(setting.server, name, str(number))
        if rng.random() < 0.2:
            setting.server.compact()
        if rng.random() < 0.4:
            setting.clock.now_s += setting.informer.pump()
    setting.settle()
    assert_same(setting)
    assert wrong == []
    assert model == {key_of(o): o["metadata"]["uid"] for o in setting.server.objects(RAY_JOBS)}


def test_bookmarks_change_no_object() -> None:
    setting = make_setting()
    create(setting.server, "a")
    setting.informer.pump()
    create(setting.server, "other", resource=CONFIG_MAPS)
    with setting.server.watch(
        RAY_JOBS,
        resource_version=str(int(setting.server.version) - 1),
        timeout_s=0.0,
        silence_s=1.0,
    ) as events:
        assert [event.type for event in events] == [EventType.BOOKMARK]
    setting.take_told()
    setting.informer.pump()
    assert setting.take_told() == []
    assert_same(setting)
