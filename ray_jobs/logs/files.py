"""Which logs Ray's session folder has, and which of its files are one log after rotation.

Ray rotates ``x.log`` to ``x.log.1`` and ``x.out`` to ``x.1.out``, and moves logs of workers long
gone to ``old/``. Nothing is read here but names and sizes.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

PATTERNS = (
    "job-driver-*.log",
    "worker-*.out",
    "worker-*.err",
    "train/ray-train-*.log",
    "raylet.out",
    "raylet.err",
    "gcs_server.out",
    "gcs_server.err",
)
"""What is shipped, in this order."""

_OLD = "old/"
_ROTATED = re.compile(r"(?P<stem>.+?)\.(?P<number>\d+)(?P<end>\.(?:log|out|err))?")


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """A file with a part of a log. ``inode`` is its own, whatever it is called later."""

    path: Path
    inode: int
    size_bytes: int


def find_logs(folder: Path) -> dict[str, list[LogFile]]:
    """Each log's files, the oldest first, by the log's name; empty where there is no folder."""
    found: dict[str, dict[tuple[int, str], LogFile]] = {}
    for pattern in PATTERNS:
        for path in _glob(folder, pattern):
            file = _describe(path)
            if file is not None:
                name, number = _parse(path.relative_to(folder).as_posix())
                if not fnmatch(name, pattern):
                    continue  # Compressed, or of another kind.
                found.setdefault(name, {})[-number, str(path)] = file
    return {name: [files[key] for key in sorted(files)] for name, files in found.items()}


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    stem, dot, end = pattern.rpartition(".")
    for place in (_OLD, ""):
        for form in (pattern, f"{pattern}.*", f"{stem}.*{dot}{end}"):
            yield from sorted(folder.glob(place + form))


def _parse(path: str) -> tuple[str, int]:
    """The log's name, and how often the file was rotated."""
    path = path.removeprefix(_OLD)
    match = _ROTATED.fullmatch(path)
    if match is None:
        return path, 0
    return match["stem"] + (match["end"] or ""), int(match["number"])


def _describe(path: Path) -> LogFile | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None  # A link may lead anywhere.
    return LogFile(path=path, inode=status.st_ino, size_bytes=status.st_size)
