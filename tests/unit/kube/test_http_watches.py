"""A watch's stream: events whole whatever the pieces, faults raised, closed from another thread."""

import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from controller.kube.api import EventType, WatchEvent
from controller.kube.faults import (
    ForbiddenError,
    GoneError,
    ThrottledError,
    UnreachableError,
)
from controller.kube.http import HttpApi
from controller.kube.resources import PODS
from distillery.errors import DistilleryError
from tests.unit.kube.scripted_api import DEADLINE_S, Asked, ScriptedApi, Wire, make_status

PLACE = "WATCH /api/v1/pods"
SILENCE_S = 0.3


def watch(api: HttpApi, *, silence_s: float = DEADLINE_S) -> AbstractContextManager[Any]:
    return api.watch(PODS, resource_version="5", timeout_s=60.0, silence_s=silence_s)


def line(kind: str, obj: Any) -> bytes:
    return json.dumps({"type": kind, "object": obj}, ensure_ascii=False).encode() + b"\n"


def pod(name: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name, "resourceVersion": "6"}}


def streams(*pieces: bytes, end: Callable[[Wire], None] = Wire.end_stream) -> Any:
    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        for piece in pieces:
            wire.chunk(piece)
        end(wire)

    return play


def test_a_watch_asks_for_bookmarks_from_a_version_on(server: ScriptedApi, api: HttpApi) -> None:
    server.plays.append(streams())
    with api.watch(
        PODS,
        namespace="ns",
        labels="a=b",
        resource_version="5",
        timeout_s=59.2,
        silence_s=DEADLINE_S,
    ) as events:
        assert list(events) == []
    assert server.asked[0].path == "/api/v1/namespaces/ns/pods"
    assert server.asked[0].query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "60",
        "labelSelector": "a=b",
    }


def test_events_come_as_the_server_sent_them(server: ScriptedApi, api: HttpApi) -> None:
    kinds = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
    server.plays.append(streams(*(line(kind, pod("ü" + kind)) for kind in kinds)))
    with watch(api) as events:
        found = list(events)
    assert found == [WatchEvent(type=EventType(kind), object=pod("ü" + kind)) for kind in kinds]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000], ids=lambda size: f"{size} bytes a chunk")
def test_chunks_may_end_anywhere(server: ScriptedApi, api: HttpApi, size: int) -> None:
    text = b"".join(line("ADDED", pod(f"ü{i}")) for i in range(6)) + b"\n\r\n"
    server.plays.append(streams(*(text[at : at + size] for at in range(0, len(text), size))))
    with watch(api) as events:
        assert [event.object["metadata"]["name"] for event in events] == [f"ü{i}" for i in range(6)]


def test_an_object_may_be_larger_than_any_piece(server: ScriptedApi, api: HttpApi) -> None:
    large = {**pod("large"), "text": "x" * 1_500_000}
    server.plays.append(streams(line("ADDED", large), line("ADDED", pod("small"))))
    with watch(api) as events:
        assert [event.object for event in events] == [large, pod("small")]


def test_an_event_is_told_before_the_next_one_comes(server: ScriptedApi, api: HttpApi) -> None:
    server.plays.append(streams(line("ADDED", pod("a")), end=Wire.hang))
    with watch(api) as events:
        assert next(events).object == pod("a")


@pytest.mark.parametrize(
    ("code", "reason", "want", "want_message"),
    [
        (410, "Expired", GoneError, "is refused, got 410 'too old'"),
        (403, "Forbidden", ForbiddenError, "is refused, got 403 'too old'"),
        (429, "TooManyRequests", ThrottledError, "the API server is busy, got 429; tried again in 1 s"),
        (500, "InternalError", UnreachableError, "the API server fails, got 500 too old; tried again"),
    ],
)  # fmt: skip
def test_a_fault_is_raised_as_a_status_and_as_an_event(
    server: ScriptedApi,
    api: HttpApi,
    code: int,
    reason: str,
    want: type[DistilleryError],
    want_message: str,
) -> None:
    server.refuses(code, reason, "too old")
    server.plays.append(
        streams(line("ADDED", pod("a")), line("ERROR", make_status(code, reason, "too old")))
    )
    with pytest.raises(want) as caught:
        watch(api)
    assert caught.value.message == f"GET /api/v1/pods: {want_message}"
    with watch(api) as events:
        assert next(events).object == pod("a")
        with pytest.raises(want) as caught:
            next(events)
    assert caught.value.message == f"{PLACE}: {want_message}"


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"{broken\n", id="no JSON"),
        pytest.param(b"[]\n", id="no object"),
        pytest.param(b'{"type": "ADDED"}\n', id="no object of the event"),
        pytest.param(line("ADDED", None), id="null"),
        pytest.param(line("ERROR", "text"), id="an error without a status"),
        pytest.param(line("INVENTED", pod("b")), id="an unknown type"),
        pytest.param(b'{"type": [], "object": {}}\n', id="a list as type"),
    ],
)
def test_a_line_that_is_no_event_breaks_the_watch(
    server: ScriptedApi, api: HttpApi, piece: bytes
) -> None:
    server.plays.append(streams(line("ADDED", pod("a")), piece, line("ADDED", pod("c"))))
    with watch(api) as events:
        assert next(events).object == pod("a")
        with pytest.raises(UnreachableError, match=f"^{PLACE}: no answer from the API server, "):
            next(events)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(Wire.cut, id="closed"),
        pytest.param(lambda wire: wire.cut(reset=True), id="reset"),
        pytest.param(lambda wire: (wire.write(b"40\r\n{"), wire.cut()), id="closed in a chunk"),
        pytest.param(lambda wire: (wire.chunk(b"{"), wire.end_stream()), id="ended in a line"),
    ],
)
def test_a_cut_stream_is_unreachable_and_what_came_is_told(
    server: ScriptedApi, api: HttpApi, end: Callable[[Wire], None]
) -> None:
    told = threading.Event()

    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        wire.chunk(line("ADDED", pod("a")))
        told.wait(DEADLINE_S)
        end(wire)

    server.plays.append(play)
    with watch(api) as events:
        assert next(events).object == pod("a")
        told.set()
        with pytest.raises(UnreachableError, match=f"^{PLACE}: no answer from the API server, "):
            next(events)


@pytest.mark.parametrize("is_begun", [False, True], ids=["before its head", "after an event"])
def test_silence_breaks_a_watch(server: ScriptedApi, api: HttpApi, is_begun: bool) -> None:
    def play(_: Asked, wire: Wire) -> None:
        if is_begun:
            wire.begin_stream()
            wire.chunk(line("ADDED", pod("a")))
        wire.hang()

    server.plays.append(play)
    began_s = time.monotonic()
    with (
        pytest.raises(UnreachableError, match="got ReadTimeoutError; tried again"),
        watch(api, silence_s=SILENCE_S) as events,
    ):
        list(events)
    assert SILENCE_S <= time.monotonic() - began_s < DEADLINE_S / 2


def test_a_watch_that_speaks_now_and_then_outlives_its_silence(
    server: ScriptedApi, api: HttpApi
) -> None:
    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        for _number in range(8):
            wire.over.wait(SILENCE_S / 5)
            wire.chunk(line("BOOKMARK", pod("")))
        wire.end_stream()

    server.plays.append(play)
    began_s = time.monotonic()
    with watch(api, silence_s=SILENCE_S) as events:
        assert len(list(events)) == 8
    assert time.monotonic() - began_s > SILENCE_S


def test_the_limit_of_requests_is_none_of_a_watch(server: ScriptedApi, api: HttpApi) -> None:
    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        wire.over.wait(SILENCE_S)
        wire.chunk(line("ADDED", pod("a")))
        wire.end_stream()

    server.plays.append(play)
    with watch(api.with_timeout(SILENCE_S / 3)) as events:
        assert [event.object for event in events] == [pod("a")]


def test_another_thread_closes_a_watch_that_waits(
    either: tuple[ScriptedApi, HttpApi],
) -> None:
    server, api = either
    server.plays.append(streams(line("ADDED", pod("a")), end=Wire.hang))
    context = watch(api)
    events = context.__enter__()
    found: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        try:
            found.put(next(events).object)
            found.put(list(events))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            found.put(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert found.get(timeout=DEADLINE_S) == pod("a")
    began_s = time.monotonic()
    context.__exit__(None, None, None)
    assert found.get(timeout=DEADLINE_S) == []
    reader.join(DEADLINE_S)
    assert not reader.is_alive()
    assert time.monotonic() - began_s < DEADLINE_S / 2


def test_leaving_a_watch_early_closes_its_connection(
    either: tuple[ScriptedApi, HttpApi],
) -> None:
    server, api = either
    left = threading.Event()

    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        try:
            while not wire.over.wait(0.01):
                wire.chunk(line("ADDED", pod("a")))
        except OSError:
            left.set()
            wire.cut()

    server.plays.append(play)
    with watch(api) as events:
        next(events)
    assert left.wait(DEADLINE_S)


def test_a_watch_is_closed_twice_without_harm(server: ScriptedApi, api: HttpApi) -> None:
    server.plays.append(streams(line("ADDED", pod("a"))))
    context = watch(api)
    with context as events:
        next(events)
        context.__exit__(None, None, None)
        assert list(events) == []
