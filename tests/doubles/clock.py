"""A clock that tests turn by hand: ``controller.runtime.clock.Clock`` without real time.

One thread alone never waits by it (give timeouts of 0, and ``advance`` between). Threads that wait
are woken by ``advance`` when their time is over; call ``wait_for_waiters`` first, so that each of
them has begun to wait at the time the test means.
"""

import math
import threading
from dataclasses import dataclass
from threading import Condition

PATIENCE_S = 30.0
"""Real seconds after which a test that waits for threads has failed."""


@dataclass(eq=False)
class _Waiter:
    condition: Condition
    deadline: float


class VirtualClock:
    """Starts at ``start`` and stands still but for ``advance``. Thread-safe."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._waiters: list[_Waiter] = []
        self._changed = threading.Condition()

    def now(self) -> float:
        """As ``Clock.now``."""
        return self._now

    def wait(self, condition: Condition, timeout: float | None) -> bool:
        """As ``Clock.wait``."""
        if timeout is not None and timeout <= 0:
            return False
        with self._changed:
            deadline = math.inf if timeout is None else self._now + timeout
            waiter = _Waiter(condition=condition, deadline=deadline)
            self._waiters.append(waiter)
            self._changed.notify_all()
        try:
            condition.wait(PATIENCE_S)
        finally:
            with self._changed:
                self._waiters.remove(waiter)
        return self._now < deadline

    def advance(self, seconds: float) -> None:
        """Turns the clock, and wakes those whose time is over."""
        with self._changed:
            self._now += seconds
            due = [waiter for waiter in self._waiters if waiter.deadline <= self._now]
        for waiter in due:
            with waiter.condition:
                waiter.condition.notify_all()

    def wait_for_waiters(
        self, num: int = 1, *, beyond: float = -math.inf, until: float = math.inf
    ) -> None:
        """Waits, in real time, until ``num`` threads wait by this clock for a time after
        ``beyond`` and not after ``until``; who waits for ever waits for infinity."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: sum(beyond < each.deadline <= until for each in self._waiters) >= num,
                PATIENCE_S,
            )
        assert came, f"fewer than {num} threads wait by the clock"
