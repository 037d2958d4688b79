"""Ctrl-C and SIGTERM as a flag: the loop ends in good order, and no line of it is cut short."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The user wants the command to end."""


class Interrupts:
    """Waits that end when a signal comes."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signum: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a command ended by the signal (Ctrl-C: 130)."""
        return 128 + (self.signum or signal.SIGINT)

    @property
    def has_come(self) -> bool:
        """Whether a signal has come."""
        return self._event.is_set()

    def receive(self, signum: int, frame: FrameType | None = None) -> None:
        """Notes the signal; the first one counts."""
        self.signum = self.signum or signum
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Waits, at most until a signal comes."""
        self._event.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Waits that long, signal or not: for what must be seen to its end."""
        time.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        """Waits. Raises ``Interrupted`` when a signal comes, or has come."""
        if self._event.wait(seconds):
            raise Interrupted

    @contextmanager
    def installed(self) -> Iterator["Interrupts"]:
        """Receives the process's signals for the time of the block."""
        before = {signum: signal.signal(signum, self.receive) for signum in _SIGNALS}
        try:
            yield self
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
