"""Starts etcd, kube-apiserver and kube-controller-manager on free ports, and stops just those."""

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_TIMEOUT_S = 10.0
START_TIMEOUT_S = 120.0
_POLL_S = 0.05
_TAIL_CHARS = 3000


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

    def wait_until(self, holds: Callable[[], bool], *, what: str) -> None:
        """Waits; fails with the end of the log where the program ends or the time is over."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not holds():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                tail = self._log_path.read_text(errors="replace")[-_TAIL_CHARS:]
                state = "ended" if ended else f"didn't get ready in {START_TIMEOUT_S:g} s"
                raise AssertionError(f"{self.name} {state} ({what}):\n{tail}")
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
