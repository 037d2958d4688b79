"""The parts of logs in storage: their names, what is there, and what goes above a limit.

A part's number is the place of its first byte in the log (see the package's docstring).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ray_jobs.storage.base import Storage

_DIGITS = 15
_NAME = re.compile(rf"(?P<log>.+)\.(?P<start>\d{{{_DIGITS}}})")


@dataclass(frozen=True, kw_only=True)
class Part:
    """``size_bytes`` of a log from ``start`` on."""

    start: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The place of the first byte after it."""
        return self.start + self.size_bytes


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``part_bytes`` is a finished part's size. A log may have ``log_bytes``, all of a pod's
    ``pod_bytes``; each log keeps its newest part whatever that makes."""

    part_bytes: int = 256 << 10
    log_bytes: int = 16 << 20
    pod_bytes: int = 64 << 20


def part_name(log: str, start: int) -> str:
    """The name of a part below the pod's prefix."""
    return f"{log}.{start:0{_DIGITS}d}"


def list_parts(storage: Storage, prefix: str) -> dict[str, list[Part]]:
    """The parts below ``prefix`` by log, in order. Raises as storage does."""
    found: dict[str, list[Part]] = {}
    for stored in storage.list(f"{prefix}/"):
        match = _NAME.fullmatch(stored.key.removeprefix(f"{prefix}/"))
        if match is not None and stored.size_bytes:
            part = Part(start=int(match["start"]), size_bytes=stored.size_bytes)
            found.setdefault(match["log"], []).append(part)
    return found


def share_out(sizes: Iterable[int], limit: int) -> int:
    """The most each may have so that all together are within ``limit``: small ones leave what they
    don't need to large ones. ``limit`` itself where all fit."""
    ordered = sorted(sizes)
    if sum(ordered) <= limit:
        return limit
    left = limit
    for place, size in enumerate(ordered):
        share = left // (len(ordered) - place)
        if size > share:
            return share
        left -= size
    return limit


def choose_dropped(logs: Mapping[str, list[Part]], limits: Limits) -> dict[str, list[Part]]:
    """The parts that go for the rest to be within the limits: of each log that has too much, the
    oldest but the first, and the first before the newest."""
    sizes = {log: sum(part.size_bytes for part in parts) for log, parts in logs.items()}
    capped = [min(size, limits.log_bytes) for size in sizes.values()]
    most = min(limits.log_bytes, share_out(capped, limits.pod_bytes))
    dropped = {}
    for log, parts in logs.items():
        surplus = sizes[log] - most
        going = []
        for part in [*parts[1:-1], *parts[: min(1, len(parts) - 1)]]:
            if surplus <= 0:
                break
            going.append(part)
            surplus -= part.size_bytes
        if going:
            dropped[log] = going
    return dropped
