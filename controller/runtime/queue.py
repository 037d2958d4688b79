"""The work queue: which keys to look at, each once, and never one key by two workers at a time.

A key added while it waits is there once; added while it is worked on, it comes again after. Delays
and retries end in the same place. Filled by the informers' handlers and by ``workers.py``, which
also empties it. What a key stands for is not known here.
"""

import heapq
import threading
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from controller.runtime.buckets import TokenBucket
from controller.runtime.clock import Clock
from distillery.errors import InvariantError

RETRIES_PER_S = 10.0
RETRIES_BURST = 100
"""Retries of all keys together, as client-go's default limiter allows."""


class QueueObserver(Protocol):
    """Told of what happens, for metrics. Called with the queue's lock held: must not block, nor
    call the queue."""

    def depth_changed(self, depth: int) -> None:
        """So many keys wait to be taken now."""
        ...

    def added(self) -> None:
        """A key was added that didn't wait already."""
        ...

    def taken(self, waited_s: float) -> None:
        """A worker took a key that was added ``waited_s`` ago."""
        ...

    def done(self, worked_s: float) -> None:
        """A worker has ended with a key that it took ``worked_s`` ago."""
        ...

    def retried(self) -> None:
        """A key is to come again after a failure."""
        ...


class SilentObserver:
    """A ``QueueObserver`` that nobody reads."""

    def depth_changed(self, depth: int) -> None:
        """As ``QueueObserver.depth_changed``."""

    def added(self) -> None:
        """As ``QueueObserver.added``."""

    def taken(self, waited_s: float) -> None:
        """As ``QueueObserver.taken``."""

    def done(self, worked_s: float) -> None:
        """As ``QueueObserver.done``."""

    def retried(self) -> None:
        """As ``QueueObserver.retried``."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """The wait after the first failure of a key in a row, doubled by each further one up to
    ``max_s``."""

    min_s: float = 0.005
    max_s: float = 1000.0

    def delay_s(self, num_failures: int) -> float:
        """The wait after so many failures before this one."""
        return min(self.max_s, self.min_s * 2.0 ** min(num_failures, 64))


@dataclass(frozen=True, kw_only=True)
class QueueStats:
    """The queue at one moment. ``unfinished_s``: the time that all keys in work have been in work,
    together; ``longest_running_s``: the longest of them."""

    num_waiting: int
    num_delayed: int
    num_running: int
    unfinished_s: float
    longest_running_s: float


class WorkQueue:
    """Keys that wait for a worker, in the order they came. Thread-safe.

    A worker calls ``take``, works, and calls ``done``; before ``done`` it says what is next:
    ``forget`` after a success, ``retry`` after a failure, ``add_after`` for another look.

    Args:
        retries: Limits the retries of all keys together.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        backoff: Backoff | None = None,
        retries: TokenBucket | None = None,
        observer: QueueObserver | None = None,
    ) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._retries = retries or TokenBucket(
            rate_per_s=RETRIES_PER_S, burst=RETRIES_BURST, clock=clock.now
        )
        self._observer: QueueObserver = observer or SilentObserver()
        self._condition = threading.Condition()
        self._ready: deque[str] = deque()
        self._added_at: dict[str, float] = {}
        self._taken_at: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._tickets = count()
        self._num_failures: dict[str, int] = {}
        self._is_shut_down = False

    def add(self, key: str) -> None:
        """Has the key looked at as soon as a worker is free."""
        with self._condition:
            self._add(key)

    def add_after(self, key: str, delay_s: float) -> None:
        """Has the key looked at in ``delay_s`` seconds, or sooner where that was asked already."""
        with self._condition:
            if delay_s <= 0:
                self._add(key)
            else:
                self._delay(key, delay_s)

    def retry(self, key: str, *, at_least_s: float = 0.0) -> float:
        """Has the key looked at again after a failure.

        Args:
            at_least_s: What the API server asked for, where that is longer.

        Returns: Seconds until then.
        """
        with self._condition:
            num_failures = self._num_failures.get(key, 0)
            self._num_failures[key] = num_failures + 1
            own_s = self._backoff.delay_s(num_failures)
            delay_s = max(own_s, self._retries.reserve(), at_least_s)
            self._delay(key, delay_s)
            self._observer.retried()
            return delay_s

    def forget(self, key: str) -> None:
        """Ends the key's row of failures: its next one is the first."""
        with self._condition:
            self._num_failures.pop(key, None)

    def num_failures(self, key: str) -> int:
        """The key's failures in a row."""
        with self._condition:
            return self._num_failures.get(key, 0)

    def take(self, *, timeout_s: float | None = None) -> str | None:
        """The next key, which no other worker gets before ``done``. Waits for one.

        Returns: None where none came in time, and at once after ``shut_down``.
        """
        with self._condition:
            give_up_at = None if timeout_s is None else self._clock.now() + timeout_s
            while not self._is_shut_down:
                now = self._clock.now()
                self._admit_due(now)
                if self._ready:
                    return self._start(self._ready.popleft(), now)
                if give_up_at is not None and now >= give_up_at:
                    return None
                self._clock.wait(self._condition, self._wait_s(give_up_at, now))
            return None

    def done(self, key: str) -> None:
        """Gives the key back; if it was added meanwhile it waits again now.

        Raises: ``InvariantError`` where no worker has it.
        """
        with self._condition:
            if key not in self._taken_at:
                raise InvariantError(f"queue: done must follow take, got {key}; take it first")
            self._observer.done(self._clock.now() - self._taken_at.pop(key))
            if key in self._added_at:
                self._push(key)

    def shut_down(self) -> None:
        """Ends all waiting in ``take`` and drops what waits: whoever starts next lists anew."""
        with self._condition:
            self._is_shut_down = True
            self._ready.clear()
            self._added_at.clear()
            self._due.clear()
            self._heap.clear()
            self._observer.depth_changed(0)
            self._condition.notify_all()

    def stats(self) -> QueueStats:
        """The queue now."""
        with self._condition:
            now = self._clock.now()
            running = [now - taken_at for taken_at in self._taken_at.values()]
            return QueueStats(
                num_waiting=len(self._ready),
                num_delayed=len(self._due),
                num_running=len(running),
                unfinished_s=sum(running),
                longest_running_s=max(running, default=0.0),
            )

    def _add(self, key: str) -> None:
        """``_added_at`` holds the keys to look at: those in ``_ready``, and those in work that are
        to come again."""
        if self._is_shut_down or key in self._added_at:
            return
        self._added_at[key] = self._clock.now()
        self._observer.added()
        if key not in self._taken_at:
            self._push(key)

    def _push(self, key: str) -> None:
        if self._is_shut_down:
            return
        self._ready.append(key)
        self._observer.depth_changed(len(self._ready))
        self._condition.notify()

    def _start(self, key: str, now: float) -> str:
        self._taken_at[key] = now
        self._observer.taken(now - self._added_at.pop(key))
        self._observer.depth_changed(len(self._ready))
        return key

    def _delay(self, key: str, delay_s: float) -> None:
        """An entry of the heap counts only while ``_due`` has the same time for its key."""
        due = self._clock.now() + delay_s
        if self._is_shut_down or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._tickets), key))
        self._condition.notify()

    def _admit_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self._add(key)

    def _wait_s(self, give_up_at: float | None, now: float) -> float | None:
        ends = [] if give_up_at is None else [give_up_at]
        if self._heap:
            ends.append(self._heap[0][0])
        return min(ends) - now if ends else None
