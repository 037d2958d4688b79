"""The threads that take keys from the queue and have them reconciled, one key in one thread.

The one place where any exception is caught: what goes wrong with one key is counted, told and
tried again, and no other key hears of it. What to do with a key is the caller's function.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from controller.kube.faults import ConflictError
from controller.runtime.clock import Clock
from controller.runtime.queue import WorkQueue
from distillery.errors import TransientError

_LOG = logging.getLogger(__name__)

Reconcile = Callable[[str], float | None]
"""Makes a key's object true. Returns the seconds until it wants to be called again even if nothing
happens (0: at once); None: only when something happens. Safe to repeat from any line."""


class Result(StrEnum):
    """How a call of ``Reconcile`` ended; the names controller-runtime's metrics use, where it has
    one. ``REQUEUE``: it met a change by somebody else and comes again, which is no error."""

    SUCCESS = "success"
    REQUEUE_AFTER = "requeue_after"
    REQUEUE = "requeue"
    ERROR = "error"


class WorkObserver(Protocol):
    """Told of each call, for metrics. Called from the workers' threads; must not block."""

    def reconciled(self, result: Result, took_s: float) -> None:
        """A call has ended."""
        ...


class SilentWorkObserver:
    """A ``WorkObserver`` that nobody reads."""

    def reconciled(self, result: Result, took_s: float) -> None:
        """As ``WorkObserver.reconciled``."""


class Workers:
    """Works on a queue. Either call ``step`` from one thread, as tests with a virtual clock do, or
    ``start`` threads.

    Args:
        num_threads: How many keys may be in work at once.
    """

    def __init__(
        self,
        queue: WorkQueue,
        reconcile: Reconcile,
        *,
        clock: Clock,
        num_threads: int = 4,
        observer: WorkObserver | None = None,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._clock = clock
        self._observer: WorkObserver = observer or SilentWorkObserver()
        self._told: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            for number in range(num_threads)
        ]

    def start(self) -> None:
        """Starts the threads; they end when the queue is shut down."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_s: float = 10.0) -> bool:
        """Shuts the queue down and waits for the keys in work; says whether all ended in time."""
        self._queue.shut_down()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def step(self, *, timeout_s: float | None = 0.0) -> bool:
        """Works on the next key, if one comes in time; says whether one did."""
        key = self._queue.take(timeout_s=timeout_s)
        if key is None:
            return False
        started = self._clock.now()
        try:
            result = self._work(key)
        finally:
            self._queue.done(key)
        self._observer.reconciled(result, self._clock.now() - started)
        return True

    def _run(self) -> None:
        while self.step(timeout_s=None):
            pass

    def _work(self, key: str) -> Result:
        try:
            wait_s = self._reconcile(key)
        except ConflictError as error:
            _LOG.debug("object has changed meanwhile key=%s error=%s", key, error)
            self._queue.retry(key)
            return Result.REQUEUE
        except TransientError as error:
            delay_s = self._queue.retry(key, at_least_s=error.delay_s)
            if self._is_new(key, error):
                _LOG.info("reconcile must wait key=%s delay_s=%.3f error=%s", key, delay_s, error)
            return Result.ERROR
        except Exception as error:  # noqa: BLE001 - one key's bug must not stop the others
            delay_s = self._queue.retry(key)
            if self._is_new(key, error):
                message = "reconcile failed key=%s delay_s=%.3f error=%r"
                _LOG.error(message, key, delay_s, error, exc_info=error)
            return Result.ERROR
        self._queue.forget(key)
        self._told.pop(key, None)
        if wait_s is None:
            return Result.SUCCESS
        self._queue.add_after(key, wait_s)
        return Result.REQUEUE_AFTER

    def _is_new(self, key: str, error: Exception) -> bool:
        """Whether the key's last failure was another one, or none: one failure is told once."""
        text = repr(error)
        if self._told.get(key) == text:
            return False
        self._told[key] = text
        return True
