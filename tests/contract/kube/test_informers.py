"""Informers in their threads, on both API servers: whatever goes wrong, the cache becomes true."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from controller.kube.api import Json, ReadApi
from controller.kube.resources import CONFIG_MAPS, Resource
from controller.runtime.cache import Cache, by_owner_uid, key_of
from controller.runtime.clock import SystemClock
from controller.runtime.informer import Informer, Timing
from controller.runtime.listing import Watched
from controller.runtime.owners import parent_mapper, waking
from controller.runtime.projection import without_bulk
from tests.contract.kube.flaky import FlakyReads
from tests.contract.kube.subjects import (
    DEADLINE_S,
    WIDGETS,
    Subject,
    named,
    remove_crd,
)
from tests.doubles.api_server import ApiServer

QUICK = Timing(watch_s=1.0, min_delay_s=0.01, max_delay_s=0.05, short_watch_s=0.0)
LATE = Resource(group="contract.distillery.dev", version="v1", plural="guests", kind="Guest")


@contextmanager
def running(informer: Informer) -> Iterator[Informer]:
    informer.start()
    try:
        yield informer
    finally:
        assert informer.stop(timeout_s=DEADLINE_S / 2), "the informer's thread goes on"


def make_informer(
    subject: Subject, resource: Resource = WIDGETS, *, api: ReadApi | None = None, labels: str = ""
) -> Informer:
    watched = Watched(resource=resource, namespace=subject.namespace, labels=labels, page_size=3)
    cache = Cache(indexes={"owner": by_owner_uid})
    return Informer(
        api or subject.api,
        watched,
        cache=cache,
        clock=SystemClock(),
        timing=QUICK,
        rng=random.Random(1),
    )


def listed(subject: Subject, resource: Resource = WIDGETS) -> list[Json]:
    """All there is, as a cache would hold it."""
    page = subject.api.list_page(resource, namespace=subject.namespace)
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    return sorted((without_bulk({**kind, **item}) for item in page.items), key=key_of)


def wait_true(subject: Subject, informer: Informer) -> None:
    """Waits until the cache holds what the server does."""
    resource = informer.watched.resource
    subject.wait_until(lambda: informer.cache.objects() == listed(subject, resource))


def change_at_random(subject: Subject, rng: random.Random, *, num_changes: int) -> None:
    there = {obj["metadata"]["name"]: obj for obj in listed(subject)}
    for number in range(num_changes):
        name = rng.choice("abcdefg")
        if name not in there:
            there[name] = subject.create(WIDGETS, name, spec={"n": number})
        elif rng.random() < 0.5:
            subject.delete(WIDGETS, there.pop(name))
        else:
            there[name] = subject.merge(WIDGETS, name, {"spec": {"n": number}})


def has_failed_often(informer: Informer, subject: Subject, rng: random.Random) -> bool:
    """Whether it has; changes something before."""
    change_at_random(subject, rng, num_changes=3)
    return informer.stats.num_failures >= 10


def test_an_informer_lists_in_pages_and_follows_what_changes(subject: Subject) -> None:
    for name in "abcdefgh":
        subject.create(WIDGETS, name, spec={"n": 0})
    with running(make_informer(subject)) as informer:
        assert informer.wait_synced(DEADLINE_S)
        assert informer.cache.objects() == listed(subject)
        change_at_random(subject, random.Random(2), num_changes=20)
        wait_true(subject, informer)
    assert informer.stats.num_lists == 1


def test_objects_of_a_built_in_kind_are_the_same_from_list_and_watch(subject: Subject) -> None:
    subject.create(CONFIG_MAPS, "listed")
    with running(make_informer(subject, CONFIG_MAPS)) as informer:
        assert informer.wait_synced(DEADLINE_S)
        subject.create(CONFIG_MAPS, "watched")
        wait_true(subject, informer)
        names = {obj["metadata"]["name"] for obj in informer.cache.objects()}
    assert names >= {"listed", "watched"}


def test_an_informer_survives_whatever_the_server_does_to_it(subject: Subject) -> None:
    rng = random.Random(3)
    model: dict[str, str] = {}
    wrong: list[str] = []

    def follow(old: Json | None, new: Json | None) -> None:
        key = key_of(new or old or {})
        if model.get(key) != (old and old["metadata"]["uid"]):
            wrong.append(key)
        model.pop(key, None)
        if new is not None:
            model[key] = new["metadata"]["uid"]

    flaky = FlakyReads(api=subject.api, rng=rng, is_flaky=[True])
    informer = make_informer(subject, api=flaky)
    informer.add_handler(follow)
    with running(informer):
        subject.wait_until(lambda: has_failed_often(informer, subject, rng))
        flaky.is_flaky.clear()
        wait_true(subject, informer)
        subject.wait_until(lambda: model.keys() == set(informer.cache.keys()))
    assert wrong == []
    assert model == {key_of(obj): obj["metadata"]["uid"] for obj in listed(subject)}


def test_a_child_that_changes_wakes_its_parent_and_not_the_parents_successor(
    subject: Subject,
) -> None:
    parents, children = make_informer(subject), make_informer(subject, CONFIG_MAPS)
    woken: list[str] = []
    told: list[Json | None] = []
    mapper = parent_mapper(parent=WIDGETS, parents=parents.cache)
    children.add_handler(waking(woken.append, by=mapper))
    children.add_handler(lambda _, new: told.append(new))
    parent = subject.create(WIDGETS, "p")
    uid = parent["metadata"]["uid"]
    owner = {**named(WIDGETS), "name": "p", "uid": uid, "controller": True}
    with running(parents), running(children):
        assert parents.wait_synced(DEADLINE_S)
        assert children.wait_synced(DEADLINE_S)
        subject.create(CONFIG_MAPS, "c", owners=[owner], finalizers=["distillery.dev/held"])
        subject.wait_until(lambda: woken == [f"{subject.namespace}/p"])
        assert [obj["metadata"]["name"] for obj in children.cache.find("owner", uid)] == ["c"]
        subject.delete(WIDGETS, parent)
        subject.create(WIDGETS, "p")
        wait_true(subject, parents)
        subject.wait_until(
            lambda: "deletionTimestamp" in subject.fetch(CONFIG_MAPS, "c")["metadata"]
        )
        wait_told(subject, told, subject.fetch(CONFIG_MAPS, "c"))
        num_woken = len(woken)
        wait_told(subject, told, subject.merge(CONFIG_MAPS, "c", {"data": {"k": "v"}}))
        assert len(woken) == num_woken
        subject.merge(CONFIG_MAPS, "c", {"metadata": {"finalizers": None}})
        wait_true(subject, children)


def wait_told(subject: Subject, told: list[Json | None], obj: Json) -> None:
    """Waits until the last handler has been told of the object's state."""
    subject.wait_until(lambda: without_bulk(obj) in told)


def test_a_kind_that_is_installed_later_is_found(subject: Subject) -> None:
    informer = make_informer(subject, LATE)
    with running(informer):
        subject.wait_until(lambda: informer.is_missing)
        assert informer.has_synced is False
        subject.install(LATE, False)
        subject.create(LATE, "a")
        assert informer.wait_synced(DEADLINE_S)
        wait_true(subject, informer)
        assert informer.is_missing is False
        if isinstance(subject.api, ApiServer):
            subject.api.stop_serving(LATE)
        else:
            remove_crd(subject.api, LATE)
        subject.wait_until(lambda: informer.is_missing)


def test_stopping_an_informer_closes_its_quiet_watch_at_once(subject: Subject) -> None:
    informer = make_informer(subject)
    informer.start()
    subject.wait_until(lambda: informer.stats.num_watches > 0)
    assert informer.stop(timeout_s=2.0)
