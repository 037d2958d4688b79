"""Reads the bodies of answers: whole within a limit, or piece by piece until closed.

An answer is ``urllib3``'s. Requests are ``session.py``'s; a watch's lines are ``streaming.py``'s.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from urllib3.exceptions import HTTPError

from controller.kube.answers import unreachable

READ_ERRORS = (HTTPError, OSError, ValueError, AttributeError)
"""What reading raises; the last two where another thread has closed the connection meanwhile."""


class Deadline:
    """A context that ends the reading of an answer's body when the time is over: a socket's own
    timeout starts anew with each piece that comes."""

    def __init__(self, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._answer: Any = None
        self._is_over = False
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def read(self, answer: Any, place: str) -> bytes:
        """The whole body. Raises ``UnreachableError`` where it breaks off or is late."""
        with self._lock:
            self._answer = answer
            if self._is_over:
                wake_reader(answer)
        try:
            body = bytes(answer.read())
        except READ_ERRORS as error:
            raise unreachable(place, TimeoutError() if self._is_over else error) from error
        with self._lock:
            self._answer = None
            if self._is_over:
                answer.close()
                raise unreachable(place, TimeoutError())
        return body

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            if self._answer is not None:
                wake_reader(self._answer)


def read_pieces(answer: Any, place: str, *, max_bytes: int) -> Iterator[bytes]:
    """The body as it comes. Raises ``UnreachableError`` where it breaks off."""
    while True:
        try:
            piece = answer.read1(max_bytes)
        except READ_ERRORS as error:
            raise unreachable(place, error) from error
        if not piece:
            return
        yield piece


def wake_reader(answer: Any) -> None:
    """Ends the connection's input: a thread that waits for it goes on."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
        answer.shutdown()


def close_answer(answer: Any) -> None:
    """Gives the answer up and closes its connection, even if another thread reads from it."""
    wake_reader(answer)
    answer.close()
