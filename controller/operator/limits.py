"""How many steps may start now, over all jobs: KubeRay's pace, and a fair share for namespaces.

In memory and rebuilt by itself: what is active is counted in the caches, who waits asks again.
Knows nothing of what a step is.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from controller.runtime.buckets import TokenBucket

PATIENCE_S = 60.0
"""A job that hasn't asked for so long has no place in the queue any more."""


@dataclass(frozen=True, kw_only=True)
class LaunchLimits:
    """What the administrator allows: launches in a second, steps at once in all, and of one
    namespace."""

    launches_per_second: float = 2.0
    active_steps: int = 200
    active_steps_per_namespace: int = 20


@dataclass(frozen=True, kw_only=True)
class Grant:
    """``num_starts`` of what was asked for; ``queue`` says in words why not all of it."""

    num_starts: int
    queue: str = ""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A job that wants to start ``num_steps``. The higher ``priority`` goes first, then the older
    ``created`` (a timestamp that sorts)."""

    key: str
    namespace: str
    num_steps: int
    created: str
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    asking: Asking
    asked_at: float


class LaunchLimiter:
    """Grants starts; thread-safe.

    Args:
        bucket: ``launches_per_second`` of it.
    """

    def __init__(self, limits: LaunchLimits, *, bucket: TokenBucket) -> None:
        self._limits = limits
        self._bucket = bucket
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.Lock()

    def ask(self, asking: Asking, *, active: Mapping[str, int], now_s: float) -> Grant:
        """How many of the wanted steps may start now.

        Args:
            active: Namespace to its active steps.
            now_s: Monotonic seconds.
        """
        with self._lock:
            self._waiting[asking.key] = _Waiting(asking=asking, asked_at=now_s)
            self._forget_silent(now_s)
            place = self._place(asking, active)
            room = min(
                self._limits.active_steps - sum(active.values()),
                self._limits.active_steps_per_namespace - active.get(asking.namespace, 0),
            )
            if room <= 0:
                return Grant(num_starts=0, queue=self._full(asking, active, place))
            if place > room:
                return Grant(num_starts=0, queue=_queued(place, "older jobs go first"))
            num_starts = 0
            while num_starts < min(room, asking.num_steps) and self._bucket.try_take():
                num_starts += 1
            if num_starts == 0:
                rate = self._limits.launches_per_second
                return Grant(num_starts=0, queue=_queued(place, f"at most {rate:g} launches/s"))
            self._waiting.pop(asking.key)
            return Grant(num_starts=num_starts)

    def forget(self, key: str) -> None:
        """Gives up the job's place in the queue."""
        with self._lock:
            self._waiting.pop(key, None)

    def _forget_silent(self, now_s: float) -> None:
        for key, waiting in list(self._waiting.items()):
            if now_s - waiting.asked_at > PATIENCE_S:
                del self._waiting[key]

    def _place(self, asking: Asking, active: Mapping[str, int]) -> int:
        """1 for the first. Jobs of namespaces with no room don't stand in anybody's way; among
        equal priorities the namespace with the fewest active steps goes first."""
        full = self._limits.active_steps_per_namespace
        ahead = Counter(
            _rank(each.asking, active) < _rank(asking, active)
            for each in self._waiting.values()
            if active.get(each.asking.namespace, 0) < full
        )
        return 1 + ahead[True]

    def _full(self, asking: Asking, active: Mapping[str, int], place: int) -> str:
        if sum(active.values()) >= self._limits.active_steps:
            return _queued(place, f"{self._limits.active_steps} steps are active, the limit")
        most = self._limits.active_steps_per_namespace
        return _queued(place, f"{most} steps of this namespace are active, the limit")


def _rank(asking: Asking, active: Mapping[str, int]) -> tuple[int, int, str, str]:
    return (-asking.priority, active.get(asking.namespace, 0), asking.created, asking.key)


def _queued(place: int, why: str) -> str:
    return f"waits to start, place {place} in the queue: {why}"
