"""Whether a running attempt stands still: its work unchanged for too long on our own clock.

In memory: after a restart or a takeover the wait starts anew. What pods say of time is never
compared. What follows from a stall is the planner's business.
"""

import threading
from dataclasses import dataclass

from controller.plan.snapshot import Failure
from distillery.conditions import Reason
from distillery.errors import word
from distillery.progress import Progress


@dataclass(frozen=True, kw_only=True)
class _Mark:
    work: int
    phase: str
    seen_s: float


class StallTracker:
    """Remembers when each attempt's work last changed. Thread-safe.

    Only time in which an attempt is asked about counts: ``forget`` one that waits.
    """

    def __init__(self) -> None:
        self._marks: dict[str, _Mark] = {}
        self._lock = threading.Lock()

    def check(self, key: str, progress: Progress | None, limit_s: float, now_s: float) -> bool:
        """Whether the attempt has stood still for ``limit_s``.

        Args:
            key: Names the attempt.
            progress: What it said last; None counts as no work yet.
            now_s: Monotonic seconds.
        """
        work = progress.work if progress else -1
        phase = progress.phase.value if progress else ""
        with self._lock:
            mark = self._marks.get(key)
            if mark is None or (mark.work, mark.phase) != (work, phase):
                self._marks[key] = _Mark(work=work, phase=phase, seen_s=now_s)
                return False
            return now_s - mark.seen_s >= limit_s

    def forget(self, key: str) -> None:
        """Starts the attempt's wait anew when it is next asked about."""
        with self._lock:
            self._marks.pop(key, None)


def stalled(step: str, progress: Progress | None, limit_s: float) -> Failure:
    """The failure of an attempt that stands still."""
    where = f"in phase {progress.phase}" if progress else "before its first word"
    return Failure(
        reason=Reason.STALLED,
        message=word(
            step,
            f"stands still {where}, got no new work for {limit_s:g} s; it is tried again, "
            "or raise spec.runtime.stallSeconds",
        ),
        retriable=True,
    )


def too_long(step: str, limit_s: float) -> Failure:
    """The failure of an attempt that has run for longer than it may."""
    return Failure(
        reason=Reason.DEADLINE_EXCEEDED,
        message=word(
            step,
            f"runs too long, got {limit_s:g} s without an end; raise "
            "spec.runtime.stepDeadlineSeconds, or see what keeps it",
        ),
        retriable=False,
    )
