"""A watch's stream: one JSON document a line, in pieces that end anywhere."""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from controller.kube.answers import fault_of_status, unreachable
from controller.kube.api import EventType, Json, WatchEvent
from controller.kube.faults import UnreachableError
from controller.kube.reading import close_answer, read_pieces

_PIECE_BYTES = 65_536
_ERROR = "ERROR"
_KINDS = frozenset({*EventType, _ERROR})


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
        if not self._is_closed:
            self._is_closed = True
            close_answer(self._answer)

    def _events(self) -> Iterator[WatchEvent]:
        for line in self._lines():
            kind, obj = self._parse(line)
            if kind == _ERROR:
                raise fault_of_status(self._place, obj)
            yield WatchEvent(type=EventType(kind), object=obj)

    def _parse(self, line: bytes) -> tuple[str, Json]:
        try:
            document = json.loads(line)
            kind, obj = document["type"], document["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise unreachable(self._place, error) from error
        if not isinstance(kind, str) or kind not in _KINDS or not isinstance(obj, dict):
            raise unreachable(self._place, TypeError("no event"))
        return kind, obj

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        try:
            for piece in read_pieces(self._answer, self._place, max_bytes=_PIECE_BYTES):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line for line in lines if line.strip())
        except UnreachableError:
            if self._is_closed:
                return
            raise
        if rest.strip() and not self._is_closed:
            raise unreachable(self._place, EOFError("cut"))
