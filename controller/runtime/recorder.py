"""Tells Kubernetes events without ever making its caller wait: what ``kubectl describe`` shows.

A bounded queue takes what happened, a thread of its own writes it. Events are a courtesy: one
that can't be written after a few tries, or finds no room, is counted and dropped. Which are written
and as what is ``event_series.py``'s to say; which there are, the caller's.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from controller.kube.api import WriteApi
from controller.kube.faults import AlreadyExistsError, NotFoundError
from controller.kube.resources import EVENTS
from controller.runtime.clock import Clock
from controller.runtime.event_series import (
    Correlator,
    EventLimits,
    Occurrence,
    Reporter,
    Series,
    build_event,
    build_series_patch,
    shorten,
)
from controller.runtime.timestamps import to_microseconds
from distillery.errors import ExternalError, TransientError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecorderLimits:
    """``capacity``: how many occurrences may wait to be written; ``num_tries``: how often a write
    is tried while the API server can't be reached."""

    capacity: int = 1000
    num_tries: int = 4
    events: EventLimits = field(default_factory=EventLimits)


@dataclass(frozen=True, kw_only=True)
class RecorderStats:
    """What has become of the occurrences: written, dropped for want of room, dropped because too
    much was said of their object, given up after failures; and how many wait."""

    num_written: int = 0
    num_without_room: int = 0
    num_spam: int = 0
    num_failed: int = 0
    num_waiting: int = 0


class EventRecorder:
    """Records events. Either call ``step`` from one thread, as tests with a virtual clock do, or
    ``start`` a thread.

    Args:
        wall: Seconds since the epoch, for the events' dates.
        new_id: A word that was never used before, for the events' names.
    """

    def __init__(
        self,
        api: WriteApi,
        *,
        reporter: Reporter,
        clock: Clock,
        wall: Callable[[], float],
        limits: RecorderLimits | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:16],
    ) -> None:
        self._api = api
        self._reporter = reporter
        self._clock = clock
        self._wall = wall
        self._limits = limits or RecorderLimits()
        self._correlator = Correlator(self._limits.events, clock=clock.now, new_id=new_id)
        self._condition = threading.Condition()
        self._waiting: deque[tuple[Occurrence, int]] = deque()
        self._series: Series | None = None
        self._num_tries = 0
        self._stats = RecorderStats()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def record(self, occurrence: Occurrence) -> None:
        """Has the occurrence written soon; never waits for that."""
        happened_us = to_microseconds(self._wall())
        with self._condition:
            if self._is_stopping or len(self._waiting) >= self._limits.capacity:
                self._count(num_without_room=1)
                return
            self._waiting.append((shorten(occurrence), happened_us))
            self._condition.notify()

    @property
    def stats(self) -> RecorderStats:
        """What has happened so far."""
        with self._condition:
            return replace(self._stats, num_waiting=len(self._waiting))

    def step(self) -> float | None:
        """Writes the occurrence that has waited longest.

        Returns: Seconds to wait before the next step; None where nothing waits.
        """
        with self._condition:
            if not self._waiting:
                return None
            occurrence, happened_us = self._waiting[0]
        try:
            outcome = "num_written" if self._write(occurrence, happened_us) else "num_spam"
        except TransientError as error:
            self._num_tries += 1
            if self._num_tries < self._limits.num_tries and not self._is_stopping:
                return error.delay_s
            outcome = self._give_up(occurrence, error)
        except ExternalError as error:
            outcome = self._give_up(occurrence, error)
        self._finish(outcome)
        return 0.0

    def start(self) -> None:
        """Writes in a thread of its own until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="event-recorder", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> bool:
        """Takes no more, writes what waits, each tried once, and ends the thread; says whether all
        that was done in time. Without a thread nothing more is written."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread is None:
            return not self._waiting
        started = time.monotonic()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            waited_s = time.monotonic() - started
            _LOG.warning("events were not all written in time waited_s=%.1f", waited_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                delay_s = self.step()
            except Exception:  # noqa: BLE001 - one event's bug must not end the others
                _LOG.exception("event recorder met a bug")
                self._finish("num_failed")
                delay_s = 0.0
            with self._condition:
                if self._is_stopping and not self._waiting:
                    return
                self._wait(delay_s)

    def _wait(self, delay_s: float | None) -> None:
        if delay_s is None:
            if not self._waiting:
                self._clock.wait(self._condition, None)
            return
        end = self._clock.now() + delay_s
        while not self._is_stopping and (left_s := end - self._clock.now()) > 0:
            self._clock.wait(self._condition, left_s)

    def _write(self, occurrence: Occurrence, happened_us: int) -> bool:
        """Writes it; False where it is spam. A second try writes the same."""
        series = self._series or self._correlator.take_in(occurrence)
        if series is None:
            return False
        self._series = series
        if series.count > 1:
            try:
                self._merge(occurrence, series, happened_us)
            except NotFoundError:
                self._series = series = self._correlator.begin(occurrence)
            else:
                return True
        body = build_event(
            occurrence, name=series.name, reporter=self._reporter, now_us=happened_us
        )
        try:
            self._api.create(EVENTS, body)
        except AlreadyExistsError:
            _LOG.debug("event is there already, its answer was lost name=%s", series.name)
        return True

    def _merge(self, occurrence: Occurrence, series: Series, happened_us: int) -> None:
        self._api.merge(
            EVENTS,
            namespace=occurrence.regarding.namespace,
            name=series.name,
            patch=build_series_patch(count=series.count, now_us=happened_us),
        )

    def _give_up(self, occurrence: Occurrence, error: Exception) -> str:
        if self._series is not None and self._series.count == 1:
            self._correlator.forget(occurrence)
        _LOG.info("event was dropped reason=%s error=%s", occurrence.reason, error)
        return "num_failed"

    def _finish(self, outcome: str) -> None:
        with self._condition:
            self._waiting.popleft()
            self._series, self._num_tries = None, 0
            self._count(**{outcome: 1})

    def _count(self, **more: int) -> None:
        old = self._stats
        new = {name: getattr(old, name) + number for name, number in more.items()}
        self._stats = replace(old, **new)
