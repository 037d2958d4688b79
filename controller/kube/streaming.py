"""A watch's stream: one JSON document a line, in pieces that end anywhere."""

import contextlib
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from urllib3.exceptions import HTTPError

from controller.kube.answers import fault_of_status, unreachable
from controller.kube.api import EventType, WatchEvent

_PIECE_BYTES = 65_536


class WatchStream:
    """The events of an answer; as a context it closes the connection, from another thread too.

    Args:
        answer: urllib3's, not read yet.
        place: The request, for messages.
    """

    def __init__(self, answer: Any, *, place: str) -> None:
        self._answer = answer
        self._place = place
        self._is_closed = False

    def __enter__(self) -> Iterator[WatchEvent]:
        return self._events()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        # Another thread may be waiting in a read: only the socket's end wakes it.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._answer.shutdown()
        self._answer.close()

    def _events(self) -> Iterator[WatchEvent]:
        for line in self._lines():
            try:
                document = json.loads(line)
                kind, obj = document["type"], document["object"]
            except (ValueError, KeyError, TypeError) as error:
                raise unreachable(self._place, error) from error
            if kind == "ERROR":
                raise fault_of_status(self._place, obj)
            yield WatchEvent(type=EventType(kind), object=obj)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while True:
            try:
                piece = self._answer.read1(_PIECE_BYTES)
            except (HTTPError, OSError, ValueError, AttributeError) as error:
                if self._is_closed:
                    return
                raise unreachable(self._place, error) from error
            if not piece:
                if rest.strip() and not self._is_closed:
                    raise unreachable(self._place, EOFError("cut"))
                return
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line for line in lines if line.strip())
