"""How many steps may start now, over all jobs: KubeRay's pace, and a fair share for namespaces.

In memory and rebuilt by itself: what is active is counted (``active.py``), who waits asks again and
stands in a line (``waiting_line.py``). Knows nothing of what a step is.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from controller.operator.waiting_line import Standing, WaitingLine
from controller.runtime.buckets import TokenBucket

PATIENCE_S = 120.0
"""A job that hasn't asked for so long has no place in the queue any more."""
MIN_AGAIN_S, MAX_AGAIN_S = 1.0, 30.0
"""Who waits asks again within these bounds, the later the more stand before it."""
MAX_PACE_PER_S = 20.0
"""The line is looked at as if it moved no faster, or thousands who wait keep all workers busy."""
_SPREAD = 10
"""Those far back ask again at intervals of as many lengths, or they all come in one wave."""
ENDS_PER_S = 2.0
"""How fast a full cluster's line is expected to move: KubeRay takes no more RayJobs than that."""


@dataclass(frozen=True, kw_only=True)
class LaunchLimits:
    """What the administrator allows: launches in a second, steps at once in all, and of one
    namespace."""

    launches_per_second: float = 2.0
    active_steps: int = 200
    active_steps_per_namespace: int = 20


@dataclass(frozen=True, kw_only=True)
class Grant:
    """``num_starts`` of what was asked for; ``queue`` says in words why not all of it, and after
    ``again_s`` it is worth asking again."""

    num_starts: int
    queue: str = ""
    again_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Asking(Standing):
    """A job that wants to start ``num_steps``."""

    num_steps: int


class LaunchLimiter:
    """Grants starts; thread-safe.

    Args:
        bucket: ``launches_per_second`` of it.
    """

    def __init__(self, limits: LaunchLimits, *, bucket: TokenBucket) -> None:
        self._limits = limits
        self._bucket = bucket
        self._line = WaitingLine()
        self._lock = threading.Lock()

    def ask(self, asking: Asking, *, active: Mapping[str, int], now_s: float) -> Grant:
        """How many of the wanted steps may start now.

        Args:
            active: Namespace to its active steps.
            now_s: Monotonic seconds.
        """
        with self._lock:
            self._line.join(asking, now_s=now_s)
            self._line.drop_silent(before_s=now_s - PATIENCE_S)
            most = self._limits.active_steps_per_namespace
            place = self._line.place(asking, active=active, full=most)
            room = min(
                self._limits.active_steps - sum(active.values()),
                most - active.get(asking.namespace, 0),
            )
            if room <= 0:
                return _refusal(place, self._why_full(active), pace=ENDS_PER_S)
            rate = self._limits.launches_per_second
            if place > room:
                return _refusal(place, "older jobs go first", pace=rate)
            num_starts = 0
            while num_starts < min(room, asking.num_steps) and self._bucket.try_take():
                num_starts += 1
            if num_starts == 0:
                return _refusal(place, f"at most {rate:g} launches/s", pace=rate)
            self._line.leave(asking.key)
            return Grant(num_starts=num_starts, again_s=MIN_AGAIN_S)

    def forget(self, key: str) -> None:
        """Gives up the job's place in the queue."""
        with self._lock:
            self._line.leave(key)

    def _why_full(self, active: Mapping[str, int]) -> str:
        if sum(active.values()) >= self._limits.active_steps:
            return f"{self._limits.active_steps} steps are active, the limit"
        most = self._limits.active_steps_per_namespace
        return f"{most} steps of this namespace are active, the limit"


def _refusal(place: int, why: str, *, pace: float) -> Grant:
    """Not now. The line moves by ``pace`` jobs in a second."""
    wait_s = place / min(pace, MAX_PACE_PER_S)
    return Grant(
        num_starts=0,
        queue=f"waits to start, place {place} in the queue: {why}",
        again_s=min(MAX_AGAIN_S - place % _SPREAD, max(MIN_AGAIN_S, wait_s)),
    )
