"""Starts programs, waits for them, and stops just those: by their ids, never by a name."""

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_TIMEOUT_S = 3.0
"""The API server waits for its watches to end, which they don't: then it is killed."""
START_TIMEOUT_S = 120.0
_POLL_S = 0.05
_TAIL_CHARS = 3000


class ProgramFailedError(AssertionError):
    """A program ended, or didn't get ready; the message holds the end of its log."""


class Program:
    """One program that runs, and its log."""

    def __init__(self, command: Sequence[str], *, log: Path) -> None:
        self._command = list(command)
        self._log_path = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The program's name."""
        return Path(self._command[0]).name

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself after its start."""
        return self._process is not None and self._process.poll() is not None

    def log_tail(self) -> str:
        """The end of what it has logged."""
        if not self._log_path.is_file():
            return ""
        return self._log_path.read_text(errors="replace")[-_TAIL_CHARS:]

    def start(self) -> None:
        """Starts it."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def stop(self) -> None:
        """Ends it: asks first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def wait_until(holds: Callable[[], bool], *, programs: Sequence[Program], what: str) -> None:
    """Waits while all ``programs`` run. Raises ``ProgramFailedError`` where one ends or the time
    is over."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not holds():
        ended = next((each for each in programs if each.has_ended), None)
        if ended is not None:
            raise ProgramFailedError(f"{ended.name} ended ({what}):\n{ended.log_tail()}")
        if time.monotonic() > deadline:
            logs = "\n".join(f"{each.name}:\n{each.log_tail()}" for each in programs)
            raise ProgramFailedError(f"not in {START_TIMEOUT_S:g} s: {what}\n{logs}")
        time.sleep(_POLL_S)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
