"""The processes of a local cluster, found by words that only their command lines carry."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def find_processes(*words: str) -> set[int]:
    """The ids of processes whose command line has all ``words``, but for this one. A command line
    is the arguments, each with a blank after it."""
    found = {pid for pid, command in _command_lines() if all(word in command for word in words)}
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
        yield int(pid), f"{command} "
