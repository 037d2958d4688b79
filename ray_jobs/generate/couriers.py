"""An engine's two threads: one fetches work, one makes answers durable; it waits for neither.

``engine_loop.py`` owns them. What they speak to is a ``Port``, the dispatcher as an engine sees it.
An error in a thread is kept and raised in the loop.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ray_jobs.answers.reuse import StoredAnswer
from ray_jobs.generate.dispatcher import Lease
from ray_jobs.generate.work import WorkItem

IDLE_S = 0.02
"""Between two questions for work while there is none."""

BEAT_S = 1.0
"""Between two signs of life while no work is needed."""


@dataclass(frozen=True, kw_only=True)
class Flushed:
    """Answers that are durable in ``segment``, and requests that could not be answered."""

    segment: str = ""
    answers: Sequence[StoredAnswer] = ()
    failures: Sequence[tuple[str, str]] = ()


class Port(Protocol):
    """The dispatcher, as one engine sees it. Calls may block."""

    def lease(self, *, limit: int, tokens: int) -> Lease: ...

    def acknowledge(self, flushed: Flushed) -> None: ...


@dataclass(kw_only=True)
class _Batch:
    answers: list[StoredAnswer] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.answers) + len(self.failures)


class Feeder:
    """Keeps an inbox filled.

    Args:
        capacity: Most items in inbox and engine together.
        num_busy: How many the engine has; called from the thread.
        tokens: How many it has generated; called from the thread.
    """

    def __init__(
        self, port: Port, *, capacity: int, num_busy: Callable[[], int], tokens: Callable[[], int]
    ) -> None:
        self._port = port
        self._capacity = capacity
        self._num_busy = num_busy
        self._tokens = tokens
        self._inbox: deque[WorkItem] = deque()
        self._wake = threading.Event()
        self._came = threading.Event()
        self._is_ending = False
        self.lease = Lease()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_ending = True
        self._wake.set()
        self._thread.join()

    def take(self, *, wait_s: float) -> list[WorkItem]:
        """What has come; waits up to ``wait_s`` for the first."""
        if not self._inbox and wait_s > 0:
            self._came.wait(wait_s)
        self._came.clear()
        items = [self._inbox.popleft() for _ in range(len(self._inbox))]
        if self._room() >= self._capacity // 8:
            self._wake.set()
        return items

    def _room(self) -> int:
        return self._capacity - self._num_busy() - len(self._inbox)

    def _run(self) -> None:
        try:
            while not self._is_ending and not self.lease.is_over:
                self._wake.clear()
                room = self._room()
                lease = self._port.lease(limit=max(0, room), tokens=self._tokens())
                self._inbox.extend(lease.items)
                self.lease = lease
                self._came.set()
                has_work = bool(lease.items) or room <= self._capacity // 8
                self._wake.wait(BEAT_S if has_work else IDLE_S)
        except Exception as error:  # noqa: BLE001 - the thread's edge: the loop raises it
            self.error = error
            self._came.set()


class Flusher:
    """Writes finished answers every ``flush_s``, at ``flush_rows``, and at once while idle.

    Args:
        write: Makes answers durable and returns the segment's name.
    """

    def __init__(
        self,
        port: Port,
        *,
        write: Callable[[Sequence[StoredAnswer]], str],
        flush_s: float,
        flush_rows: int,
    ) -> None:
        self._port = port
        self._write = write
        self._flush_s = flush_s
        self._flush_rows = flush_rows
        self._batch = _Batch()
        self._changed = threading.Condition()
        self._is_urgent = False
        self._is_ending = False
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(
        self, answers: Sequence[StoredAnswer], failures: Sequence[tuple[str, str]], *, is_idle: bool
    ) -> None:
        """Hands over what ended. ``is_idle``: the engine has nothing else to do."""
        with self._changed:
            self._batch.answers.extend(answers)
            self._batch.failures.extend(failures)
            self._is_urgent |= is_idle or len(self._batch) >= self._flush_rows
            if self._is_urgent:
                self._changed.notify()

    def finish(self) -> None:
        """Flushes the rest and ends the thread."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            is_last = False
            while not is_last:
                batch, is_last = self._next()
                if len(batch):
                    segment = self._write(batch.answers) if batch.answers else ""
                    self._port.acknowledge(
                        Flushed(segment=segment, answers=batch.answers, failures=batch.failures)
                    )
        except Exception as error:  # noqa: BLE001 - the thread's edge: the loop raises it
            self.error = error

    def _next(self) -> tuple[_Batch, bool]:
        due_at = time.monotonic() + self._flush_s
        with self._changed:
            while not self._is_ending and not (self._is_urgent and len(self._batch)):
                left_s = due_at - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            batch, self._batch = self._batch, _Batch()
            self._is_urgent = False
            return batch, self._is_ending
