"""What the API server in memory has beyond a real one: time, faults and troubles to order.

That it otherwise behaves as a real one is the contract tests' (``tests/contract/kube``).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from controller.kube.api import EventType, Json, WatchEvent
from controller.kube.faults import (
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)
from controller.kube.resources import CONFIG_MAPS, PODS, RAY_CLUSTERS, RAY_JOBS, Resource
from tests.doubles.api_kinds import NAMESPACES, built_in_kinds, custom
from tests.doubles.api_server import ApiServer, Verb

DEADLINE_S = 30.0


def create(server: ApiServer, resource: Resource, name: str, **meta: object) -> Json:
    return server.create(resource, {"metadata": {"name": name, "namespace": "default", **meta}})


def merge(server: ApiServer, name: str, mark: str) -> Json:
    return server.merge(RAY_JOBS, namespace="default", name=name, patch={"spec": {"mark": mark}})


def owner(obj: Json, resource: Resource = RAY_JOBS) -> Json:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
    }


def names(server: ApiServer, resource: Resource = RAY_JOBS) -> list[str]:
    return [obj["metadata"]["name"] for obj in server.objects(resource)]


def read(
    server: ApiServer, version: str, *, timeout_s: float = 0.0, resource: Resource = RAY_JOBS
) -> list[WatchEvent]:
    with server.watch(
        resource, resource_version=version, timeout_s=timeout_s, silence_s=DEADLINE_S
    ) as events:
        return list(events)


def types(events: list[WatchEvent]) -> list[str]:
    return [event.type.value for event in events]


@dataclass
class Reader:
    """A thread that reads a watch: what it got, and how it ended."""

    server: ApiServer
    version: str
    events: list[WatchEvent] = field(default_factory=list)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.wait(lambda: len(self.server.network.open(RAY_JOBS)) > 0)

    def wait(self, holds: Callable[[], bool]) -> None:
        condition = self.server.network.condition
        with condition:
            assert condition.wait_for(holds, DEADLINE_S)

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        try:
            with self.server.watch(
                RAY_JOBS, resource_version=self.version, timeout_s=DEADLINE_S, silence_s=DEADLINE_S
            ) as events:
                for event in events:
                    self.events.append(event)
                    with self.server.network.condition:
                        self.server.network.condition.notify_all()
        except UnreachableError as error:
            self.error = error


def test_time_and_uids_are_the_same_in_every_run() -> None:
    first, second = create(ApiServer(), RAY_JOBS, "a"), create(ApiServer(), RAY_JOBS, "a")
    assert first == second
    assert first["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_timestamps_follow_the_clock_that_is_given() -> None:
    now_s = 1_800_000_000.0
    server = ApiServer(now_s=lambda: now_s)
    created = create(server, RAY_JOBS, "a", finalizers=["distillery.dev/x"])
    assert created["metadata"]["creationTimestamp"] == "2027-01-15T08:00:00Z"
    now_s += 90.0
    server.delete(RAY_JOBS, namespace="default", name="a", uid=created["metadata"]["uid"])
    assert server.objects(RAY_JOBS)[0]["metadata"]["deletionTimestamp"] == "2027-01-15T08:01:30Z"


def test_versions_soon_gain_a_digit_so_that_nobody_compares_them_as_text() -> None:
    server = ApiServer()
    versions = [create(server, RAY_JOBS, f"a{n}")["metadata"]["resourceVersion"] for n in range(5)]
    assert sorted(versions) != versions
    assert sorted(versions, key=int) == versions


def test_what_is_handed_out_and_taken_in_shares_nothing_with_the_store() -> None:
    server = ApiServer()
    body: Json = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"list": [1]}}
    answer = server.create(RAY_JOBS, body)
    fetched = server.fetch(RAY_JOBS, namespace="default", name="a")
    for obj in (body, answer, fetched):
        obj["spec"]["list"].append(2)
    assert server.objects(RAY_JOBS)[0]["spec"] == {"list": [1]}


def test_what_is_no_json_is_refused() -> None:
    server = ApiServer()
    body = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"set": {1, 2}}}
    with pytest.raises(TypeError, match="can't be sent as JSON, got set"):
        server.create(RAY_JOBS, body)


def test_a_fault_comes_instead_of_the_request() -> None:
    met: list[tuple[str, str, str, str]] = []
    error = UnreachableError("api server: no answer, got none; wait", reason="Unreachable")

    def fault(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception | None:
        met.append((verb.value, resource.plural, namespace, name))
        return error if verb == Verb.CREATE else None

    server = ApiServer()
    create(server, RAY_JOBS, "there")
    server.fault = fault
    with pytest.raises(UnreachableError):
        create(server, RAY_JOBS, "a")
    server.fetch(RAY_JOBS, namespace="default", name="there")
    server.list_page(RAY_JOBS)
    merge(server, "there", "1")
    server.merge(RAY_JOBS, namespace="default", name="there", patch={}, subresource="status")
    read(server, server.version)
    server.delete(RAY_JOBS, namespace="default", name="absent", uid="1")
    assert names(server) == ["there"]
    assert met == [
        ("create", "rayjobs", "default", "a"),
        ("get", "rayjobs", "default", "there"),
        ("list", "rayjobs", "", ""),
        ("patch", "rayjobs", "default", "there"),
        ("patch status", "rayjobs", "default", "there"),
        ("watch", "rayjobs", "", ""),
        ("delete", "rayjobs", "default", "absent"),
    ]


def test_a_lost_answer_comes_after_the_request_was_carried_out() -> None:
    server = ApiServer()
    error = UnreachableError("api server: reset, got half an answer; wait", reason="Reset")
    server.lost_answer = lambda *_: error
    with pytest.raises(UnreachableError):
        create(server, RAY_JOBS, "a")
    with pytest.raises(UnreachableError):
        merge(server, "a", "1")
    obj = server.objects(RAY_JOBS)[0]
    assert obj["spec"] == {"mark": "1"}
    with pytest.raises(UnreachableError):
        server.delete(RAY_JOBS, namespace="default", name="a", uid=obj["metadata"]["uid"])
    assert names(server) == []


def test_a_refusal_sees_both_states_and_keeps_the_old_one() -> None:
    def refuse(resource: Resource, new: Json, old: Json | None) -> str | None:
        if old is not None and new["spec"] != old["spec"]:
            return f"spec.mark: is immutable, got {new['spec']['mark']}; delete the {resource.kind}"
        return None

    server = ApiServer(refuse=refuse)
    body: Json = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"mark": "1"}}
    server.create(RAY_JOBS, body)
    with pytest.raises(InvalidError, match=r"^spec\.mark: is immutable, got 2; delete the RayJob$"):
        merge(server, "a", "2")
    assert server.objects(RAY_JOBS)[0]["spec"] == {"mark": "1"}


def test_a_kind_comes_and_goes_with_its_crd() -> None:
    server = ApiServer(kinds=built_in_kinds())
    with pytest.raises(NotFoundError, match=r"^ray\.io/v1/rayjobs: not found$"):
        create(server, RAY_JOBS, "a")
    server.serve(custom(RAY_JOBS))
    version = server.version
    create(server, RAY_JOBS, "a")
    reader = Reader(server, version)
    server.stop_serving(RAY_JOBS)
    reader.join()
    assert types(reader.events) == ["ADDED", "DELETED"]
    assert reader.error is None
    with pytest.raises(NotFoundError):
        server.list_page(RAY_JOBS)
    server.serve(custom(RAY_JOBS))
    assert server.list_page(RAY_JOBS).items == []


def test_garbage_is_collected_a_generation_at_each_pass() -> None:
    server = ApiServer()
    job = create(server, RAY_JOBS, "job")
    cluster = create(server, RAY_CLUSTERS, "cluster", ownerReferences=[owner(job)])
    create(server, PODS, "pod", ownerReferences=[owner(cluster, RAY_CLUSTERS)])
    server.delete(RAY_JOBS, namespace="default", name="job", uid=job["metadata"]["uid"])
    assert (names(server, RAY_CLUSTERS), names(server, PODS)) == (["cluster"], ["pod"])
    assert server.collect_garbage(num_passes=1) == 1
    assert (names(server, RAY_CLUSTERS), names(server, PODS)) == ([], ["pod"])
    assert server.collect_garbage() == 1
    assert names(server, PODS) == []
    assert server.collect_garbage() == 0


def test_what_an_unknown_kind_owns_is_kept() -> None:
    server = ApiServer()
    job = create(server, RAY_JOBS, "job")
    create(server, PODS, "pod", ownerReferences=[owner(job)])
    server.stop_serving(RAY_JOBS)
    assert server.collect_garbage() == 0
    assert names(server, PODS) == ["pod"]


def test_an_owner_in_another_namespace_owns_nothing() -> None:
    server = ApiServer()
    server.add_namespace("other")
    job = create(server, RAY_JOBS, "job", namespace="other")
    create(server, PODS, "pod", ownerReferences=[owner(job)])
    assert server.collect_garbage() == 1


def test_a_namespace_being_deleted_takes_nothing_new() -> None:
    server = ApiServer()
    server.add_namespace("team")
    (found,) = [o for o in server.objects(NAMESPACES) if o["metadata"]["name"] == "team"]
    server.delete(NAMESPACES, namespace="", name="team", uid=found["metadata"]["uid"])
    with pytest.raises(ForbiddenError, match=r"^namespaces team: is being terminated"):
        create(server, RAY_JOBS, "a", namespace="team")
    server.collect_garbage()
    with pytest.raises(NotFoundError, match=r"^namespaces team: not found$"):
        create(server, RAY_JOBS, "a", namespace="team")


@pytest.mark.parametrize("as_status", [True, False], ids=["status", "event"])
def test_a_version_from_before_the_history_is_gone(as_status: bool) -> None:
    server = ApiServer()
    server.network.gone_as_status = as_status
    version = server.version
    create(server, RAY_JOBS, "a")
    server.compact()
    watch = server.watch(RAY_JOBS, resource_version=version, timeout_s=0, silence_s=1)
    if as_status:
        with pytest.raises(
            GoneError, match=r"^watch: too old resource version, got 98; list anew$"
        ):
            watch.__enter__()
    else:
        with watch as events, pytest.raises(GoneError, match=r"^watch: too old resource version"):
            next(events)
    assert types(read(server, server.version)) == []


def test_an_open_watch_outlives_a_compaction() -> None:
    server = ApiServer()
    create(server, RAY_JOBS, "a")
    with server.watch(RAY_JOBS, resource_version="98", timeout_s=0, silence_s=1) as events:
        next(events)
        create(server, RAY_JOBS, "b")
        server.compact()
        assert next(events).object["metadata"]["name"] == "b"


def test_a_place_in_a_list_from_before_the_history_is_gone() -> None:
    server = ApiServer()
    for name in "abc":
        create(server, RAY_JOBS, name)
    page = server.list_page(RAY_JOBS, limit=2)
    server.compact()
    assert len(server.list_page(RAY_JOBS, limit=2, next=page.next).items) == 1
    create(server, RAY_JOBS, "d")
    server.compact()
    with pytest.raises(GoneError, match=r"^list: the continue token is too old, got 101/default/b"):
        server.list_page(RAY_JOBS, limit=2, next=page.next)


def test_a_watch_without_time_gives_what_there_is_and_a_bookmark_for_the_rest() -> None:
    server = ApiServer()
    version = server.version
    assert types(read(server, version)) == []
    create(server, RAY_JOBS, "a")
    create(server, PODS, "other")
    events = read(server, version)
    assert types(events) == ["ADDED", "BOOKMARK"]
    assert events[1].object["metadata"] == {"resourceVersion": server.version}


def test_a_lost_event_is_never_seen_and_a_later_one_is() -> None:
    server = ApiServer()
    version = server.version
    server.network.is_lost = lambda _, event: event.type == EventType.ADDED
    create(server, RAY_JOBS, "a")
    merge(server, "a", "1")
    assert types(read(server, version)) == ["MODIFIED", "BOOKMARK"]


def test_held_events_pass_after_their_release() -> None:
    server = ApiServer()
    version = server.version
    server.network.hold(RAY_JOBS)
    create(server, RAY_JOBS, "a")
    create(server, PODS, "pod")
    assert types(read(server, version)) == []
    assert types(read(server, version, resource=PODS)) == ["ADDED", "BOOKMARK"]
    server.network.release(RAY_JOBS)
    assert types(read(server, version)) == ["ADDED", "BOOKMARK"]


def test_a_silent_watch_brings_nothing_and_breaks_at_the_clients_limit() -> None:
    server = ApiServer()
    version = server.version
    server.network.silence(RAY_JOBS, num_next=1)
    create(server, RAY_JOBS, "a")
    with pytest.raises(UnreachableError, match=r"^watch: nothing came, got silence"):
        read(server, version)
    assert types(read(server, version)) == ["ADDED", "BOOKMARK"]


def test_a_silent_watch_waits_for_its_limit_on_the_clock_it_is_given() -> None:
    class JumpingClock:
        def __init__(self) -> None:
            self.now_s = 0.0

        def now(self) -> float:
            return self.now_s

        def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
            self.now_s += timeout or 0.0
            return False

    clock = JumpingClock()
    server = ApiServer(clock=clock)
    server.network.silence(RAY_JOBS, num_next=1)
    with (
        server.watch(RAY_JOBS, resource_version="98", timeout_s=300, silence_s=90) as events,
        pytest.raises(UnreachableError),
    ):
        next(events)
    assert clock.now_s == 90.0
    with server.watch(RAY_JOBS, resource_version="98", timeout_s=300, silence_s=90) as events:
        assert list(events) == []
    assert clock.now_s == 390.0


def test_a_reader_in_a_thread_gets_events_bookmarks_and_the_end_as_they_come() -> None:
    server = ApiServer()
    reader = Reader(server, server.version)
    create(server, RAY_JOBS, "a")
    reader.wait(lambda: len(reader.events) == 1)
    server.network.send_bookmarks(RAY_JOBS)
    reader.wait(lambda: len(reader.events) == 2)
    server.network.end(RAY_JOBS)
    reader.join()
    assert types(reader.events) == ["ADDED", "BOOKMARK"]
    assert reader.error is None
    assert server.network.open() == []


def test_a_cut_connection_is_an_error_for_its_reader() -> None:
    server = ApiServer()
    reader = Reader(server, server.version)
    server.network.cut()
    reader.join()
    assert str(reader.error).startswith("watch: connection reset by peer")
    assert server.network.open() == []


def test_a_create_for_a_hook_that_calls_the_server_is_no_deadlock() -> None:
    server = ApiServer()

    def refuse(resource: Resource, new: Json, old: Json | None) -> None:
        if resource == RAY_JOBS:
            create(server, CONFIG_MAPS, f"seen-{new['metadata']['name']}")

    server.refuse = refuse
    create(server, RAY_JOBS, "a")
    assert names(server, CONFIG_MAPS) == ["seen-a"]
