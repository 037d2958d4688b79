"""What both API servers tell of changes, and how a watch ends."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from controller.kube.api import EventType, WatchEvent
from controller.kube.faults import GoneError, UnreachableError
from controller.kube.resources import CONFIG_MAPS
from tests.contract.kube.subjects import DEADLINE_S, WIDGETS, Subject

Told = list[tuple[str, str]]


def start_of(subject: Subject) -> str:
    return subject.api.list_page(WIDGETS, namespace=subject.namespace).resource_version


def tell(
    subject: Subject, version: str, *, labels: str = "", timeout_s: float = 2.0
) -> list[WatchEvent]:
    """What a watch from the version on brings until it ends."""
    with subject.api.watch(
        WIDGETS,
        resource_version=version,
        namespace=subject.namespace,
        labels=labels,
        timeout_s=timeout_s * subject.scale,
        silence_s=DEADLINE_S,
    ) as events:
        return list(events)


def changes(events: list[WatchEvent]) -> Told:
    return [
        (event.type.value, event.object["metadata"]["name"])
        for event in events
        if event.type != EventType.BOOKMARK
    ]


def next_change(events: Iterator[WatchEvent]) -> WatchEvent:
    return next(event for event in events if event.type != EventType.BOOKMARK)


def test_a_watch_brings_what_has_changed_since_the_list_in_order(subject: Subject) -> None:
    subject.create(WIDGETS, "before")
    version = start_of(subject)
    created = subject.create(WIDGETS, "a", spec={"k": 1})
    merged = subject.merge(WIDGETS, "a", {"spec": {"k": 2}})
    written = subject.merge(WIDGETS, "a", {"status": {"s": 1}}, subresource="status")
    subject.delete(WIDGETS, created)
    events = [event for event in tell(subject, version) if event.type != EventType.BOOKMARK]
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert [event.object for event in events[:3]] == [created, merged, written]
    last = events[3].object
    assert last["status"] == {"s": 1}
    assert int(last["metadata"]["resourceVersion"]) > int(written["metadata"]["resourceVersion"])


def test_a_watch_from_a_later_version_brings_only_the_rest(subject: Subject) -> None:
    subject.create(WIDGETS, "a")
    second = subject.create(WIDGETS, "b")
    subject.create(WIDGETS, "c")
    assert changes(tell(subject, second["metadata"]["resourceVersion"])) == [("ADDED", "c")]


def test_a_change_of_nothing_is_not_told(subject: Subject) -> None:
    subject.create(WIDGETS, "a", spec={"k": 1})
    version = start_of(subject)
    subject.merge(WIDGETS, "a", {"spec": {"k": 1}})
    assert changes(tell(subject, version)) == []


def test_a_watch_keeps_to_its_namespace_and_its_kind(subject: Subject) -> None:
    version = start_of(subject)
    other = subject.create(CONFIG_MAPS, "other-kind")
    subject.create(WIDGETS, "mine")
    assert changes(tell(subject, version)) == [("ADDED", "mine")]
    with subject.api.watch(
        WIDGETS,
        resource_version=other["metadata"]["resourceVersion"],
        namespace="default",
        timeout_s=1.0 * subject.scale,
        silence_s=DEADLINE_S,
    ) as events:
        assert changes(list(events)) == []


def test_an_object_enters_and_leaves_a_watch_by_its_labels(subject: Subject) -> None:
    subject.create(WIDGETS, "a")
    version = start_of(subject)
    subject.merge(WIDGETS, "a", {"metadata": {"labels": {"job": "x"}}})
    subject.merge(WIDGETS, "a", {"spec": {"k": 1}})
    left = subject.merge(WIDGETS, "a", {"metadata": {"labels": {"job": "y"}}})
    subject.merge(WIDGETS, "a", {"spec": {"k": 2}})
    events = tell(subject, version, labels="job=x")
    assert changes(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    last = next(event for event in events if event.type == EventType.DELETED)
    assert last.object["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]
    assert last.object["metadata"]["labels"] == {"job": "x"}
    assert last.object["spec"] == {"k": 1}


def test_a_doomed_object_is_modified_first_and_deleted_at_its_last_finalizer(
    subject: Subject,
) -> None:
    created = subject.create(WIDGETS, "a", finalizers=["distillery.dev/one"])
    version = created["metadata"]["resourceVersion"]
    subject.delete(WIDGETS, created)
    subject.merge(WIDGETS, "a", {"metadata": {"finalizers": None}})
    events = [event for event in tell(subject, version) if event.type != EventType.BOOKMARK]
    assert [event.type for event in events] == ["MODIFIED", "DELETED"]
    assert all("deletionTimestamp" in event.object["metadata"] for event in events)


def test_events_of_built_in_kinds_name_the_kind(subject: Subject) -> None:
    page = subject.api.list_page(CONFIG_MAPS, namespace=subject.namespace)
    subject.create(CONFIG_MAPS, "a")
    with subject.api.watch(
        CONFIG_MAPS,
        resource_version=page.resource_version,
        namespace=subject.namespace,
        timeout_s=5.0,
        silence_s=DEADLINE_S,
    ) as events:
        found = next(each for each in events if each.object["metadata"].get("name") == "a")
    assert (found.object["apiVersion"], found.object["kind"]) == ("v1", "ConfigMap")


def test_a_watch_waits_for_what_is_to_come(subject: Subject) -> None:
    with subject.api.watch(
        WIDGETS,
        resource_version=start_of(subject),
        namespace=subject.namespace,
        timeout_s=DEADLINE_S,
        silence_s=DEADLINE_S,
    ) as events:
        writer = threading.Timer(0.1, subject.create, args=(WIDGETS, "later"))
        writer.start()
        assert next_change(events).object["metadata"]["name"] == "later"
        writer.join()


def test_a_watch_ends_in_time(subject: Subject) -> None:
    started = time.monotonic()
    with subject.api.watch(
        WIDGETS,
        resource_version=start_of(subject),
        namespace=subject.namespace,
        timeout_s=1.0,
        silence_s=DEADLINE_S,
    ) as events:
        assert changes(list(events)) == []
    assert 0.5 < time.monotonic() - started < DEADLINE_S / 2


def test_a_watch_that_ends_tells_of_unseen_changes_by_a_bookmark(subject: Subject) -> None:
    created = subject.create(WIDGETS, "a")
    version = created["metadata"]["resourceVersion"]
    with subject.api.watch(
        WIDGETS,
        resource_version=version,
        namespace=subject.namespace,
        labels="job=none",
        timeout_s=max(0.2, 8.0 * subject.scale),
        silence_s=DEADLINE_S,
    ) as open_events:
        unseen = subject.create(WIDGETS, "b", labels={"job": "x"})
        events = list(open_events)
    assert {event.type for event in events} == {EventType.BOOKMARK}
    bookmark = events[-1].object
    assert (bookmark["apiVersion"], bookmark["kind"]) == (WIDGETS.api_version, "Widget")
    assert not bookmark["metadata"].get("uid")
    place = bookmark["metadata"]["resourceVersion"]
    assert int(place) >= int(unseen["metadata"]["resourceVersion"])
    assert changes(tell(subject, place)) == []


def test_too_old_a_version_is_gone(subject: Subject) -> None:
    with pytest.raises(GoneError) as error:
        tell(subject, "1")
    assert error.value.status_code == 410


def test_what_is_no_version_is_the_servers_own_error(subject: Subject) -> None:
    with pytest.raises(UnreachableError):
        tell(subject, "yesterday")


def test_a_watch_ends_when_it_is_left_from_another_thread(subject: Subject) -> None:
    watch = subject.api.watch(
        WIDGETS,
        resource_version=start_of(subject),
        namespace=subject.namespace,
        timeout_s=DEADLINE_S,
        silence_s=DEADLINE_S,
    )
    is_reading, has_ended = threading.Event(), threading.Event()

    def read() -> None:
        with suppress(UnreachableError), watch as events:
            is_reading.set()
            list(events)
        has_ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert is_reading.wait(DEADLINE_S)
    watch.__exit__(None, None, None)
    reader.join(DEADLINE_S / 2)
    assert has_ended.is_set()
