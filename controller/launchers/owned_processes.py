"""The processes of a local cluster, found by the one name only they carry: its temporary folder."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def find_processes(mark: str) -> set[int]:
    """The ids of this user's processes whose command line has ``mark``, but for this one."""
    found = {pid for pid, command in _command_lines() if mark in command}
    return found - {os.getpid()}


def kill_processes(pids: Iterable[int], signum: signal.Signals) -> None:
    """Sends ``signum`` to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _command_lines() -> Iterable[tuple[int, str]]:
    if not (_PROC / "self").exists():
        yield from _command_lines_by_ps()
        return
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it ended meanwhile, or is another user's
                raw = (folder / "cmdline").read_bytes()
                yield int(folder.name), raw.replace(b"\0", b" ").decode(errors="replace")


def _command_lines_by_ps() -> Iterable[tuple[int, str]]:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command
