"""Makes one replica the leader, by a Lease of coordination.k8s.io, and knows when it no longer is.

Nothing is decided by another machine's clock: a candidate waits until it has seen the lease stand
still for its whole duration by its own clock; a missing one is made first, held by nobody, for its
last holder may not know yet. The leader counts from the moment before it sent the last renewal
that was accepted, so a process that was stopped finds its time over at once. Who must not write
then is told by ``fencing.py``; the lease's form is ``lease.py``'s, its requests
``lease_store.py``'s.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum

from controller.kube.faults import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    ThrottledError,
)
from controller.runtime.clock import Clock
from controller.runtime.fencing import TimedApi
from controller.runtime.lease import Candidacy, LeaseRecord, wait_of
from controller.runtime.lease_store import LeaseStore
from distillery.errors import DistilleryError, ExternalError, TransientError

_LOG = logging.getLogger(__name__)

SHORTEST_S = 0.1
"""No wait and no request's limit is shorter."""


class Phase(StrEnum):
    """Where an elector stands. ``LOST`` and ``STOPPED`` are final: a process that has lost its
    lease ends, for nothing of what it meant to write may be trusted."""

    CANDIDATE = "Candidate"
    LEADING = "Leading"
    LOST = "Lost"
    STOPPED = "Stopped"


class Elector:
    """Stands for a lease. Either call ``step`` from one thread, as tests with a virtual clock do,
    or ``start`` threads.

    Args:
        wall: Seconds since the epoch, for dates in the lease only.
        on_started: Called once this replica leads, from the elector's thread; must return soon.
        on_lost: Called once it no longer does, but not after ``stop``; should end the process.
    """

    def __init__(
        self,
        api: TimedApi,
        *,
        candidacy: Candidacy,
        clock: Clock,
        wall: Callable[[], float],
        on_started: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._store = LeaseStore(api, candidacy=candidacy, wall=wall)
        self._who = candidacy
        self._timing = candidacy.timing
        self._clock = clock
        self._on_started = on_started
        self._on_lost = on_lost
        # The same process waits alike each time, and replicas wait unlike each other.
        self._rng = random.Random(candidacy.identity)
        self._condition = threading.Condition()
        self._phase = Phase.CANDIDATE
        self._held_until = -math.inf
        self._record: LeaseRecord | None = None
        self._seen_at: float | None = None
        self._last_error = ""
        self._threads: list[threading.Thread] = []

    @property
    def phase(self) -> Phase:
        """Where this replica stands."""
        return self._phase

    @property
    def holder(self) -> str:
        """Who held the lease when it was last read; empty: nobody."""
        return self._record.holder if self._record is not None else ""

    def remaining_s(self) -> float:
        """How long the lease is surely still ours, in seconds; 0 or less: it isn't. Never waits."""
        return self._held_until - self._clock.now()

    def is_leading(self) -> bool:
        """Whether this replica may write now. Never waits."""
        return self.remaining_s() > 0

    def step(self) -> float:
        """Renews the lease, or looks whether it is to be had.

        Returns: Seconds to wait before the next step.
        """
        self._check_deadline()
        if self._is_over():
            return self._timing.retry_s
        least_s = 0.0
        try:
            if self._phase is Phase.LEADING:
                self._renew()
            else:
                self._try_to_acquire()
            self._last_error = ""
        except (ExternalError, TransientError) as error:
            self._tell(error)
            if isinstance(error, ThrottledError):
                least_s = error.delay_s
        self._check_deadline()
        return self._next_delay_s(least_s)

    def start(self) -> None:
        """Steps in a thread of its own until the lease is lost or ``stop`` is called. Another one
        sees to it that ``on_lost`` is called in time even if a request never ends."""
        targets = {"elector": self._run, "elector-deadline": self._watch_deadline}
        for name, target in targets.items():
            self._threads.append(threading.Thread(target=target, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> bool:
        """Ends the threads and frees the lease, so that another replica leads at once; call it
        when the workers have ended. Says whether nothing of it goes on: where a request doesn't end
        in time the lease runs out by itself."""
        with self._condition:
            if self._phase is not Phase.LOST:
                self._phase = Phase.STOPPED
            self._held_until = -math.inf
            self._condition.notify_all()
        deadline = time.monotonic() + timeout_s
        others = [each for each in self._threads if each is not threading.current_thread()]
        for thread in others:
            thread.join(max(0.0, deadline - time.monotonic()))
        has_ended = not any(thread.is_alive() for thread in others)
        record = self._record
        is_ours = record is not None and record.holder == self._who.identity
        if record is not None and is_ours and has_ended and self._phase is Phase.STOPPED:
            self._release(record, timeout_s)
        return has_ended

    def _run(self) -> None:
        while not self._is_over():
            try:
                delay_s = self.step()
            except Exception:  # noqa: BLE001 - whatever it is, a leader must not go on with it
                _LOG.exception("elector met a bug identity=%s", self._who.identity)
                self._lose("a bug was met")
                delay_s = self._timing.retry_s
            with self._condition:
                if not self._is_over():
                    self._clock.wait(self._condition, delay_s)

    def _watch_deadline(self) -> None:
        while not self._is_over():
            self._check_deadline()
            with self._condition:
                left_s = self.remaining_s() if self._phase is Phase.LEADING else None
                if not self._is_over() and (left_s is None or left_s > 0):
                    self._clock.wait(self._condition, left_s)

    def _is_over(self) -> bool:
        return self._phase in (Phase.LOST, Phase.STOPPED)

    def _try_to_acquire(self) -> None:
        seen = self._store.fetch(timeout_s=self._timeout_s())
        try:
            # A missing lease has no identity that could be seen to stand still: first there is one.
            if seen is None:
                seen = self._store.create_free(timeout_s=self._timeout_s())
            self._note(seen)
            if self._wait_left_s() > 0:
                return
            sent_at = self._clock.now()
            record = self._store.claim(seen, timeout_s=self._timeout_s())
        except (ConflictError, AlreadyExistsError, NotFoundError):
            return  # Somebody else was faster: the next step sees who.
        self._hold(sent_at, record)

    def _note(self, record: LeaseRecord) -> None:
        """Notes what the lease is, and when it was seen to change."""
        if self._seen_at is None or record != self._record:
            self._seen_at = self._clock.now()
            if record.holder != self.holder:
                _LOG.info("lease has a holder holder=%s", record.holder or "nobody")
        self._record = record

    def _wait_left_s(self) -> float:
        """How long the lease as last seen must stand still yet before it may be taken."""
        if self._record is None or self._seen_at is None:
            return 0.0
        return self._seen_at + wait_of(self._record, self._who) - self._clock.now()

    def _renew(self) -> None:
        """Renews once, and once more where the record was out of date: a lost answer, or a lease
        that somebody deleted or edited."""
        for _ in range(2):
            sent_at = self._clock.now()
            if sent_at >= self._held_until:
                return
            try:
                record = self._store.renew(self._record, timeout_s=self._timeout_s())
            except (ConflictError, AlreadyExistsError, NotFoundError):
                self._record = self._store.fetch(timeout_s=self._timeout_s())
                if self.holder not in ("", self._who.identity):
                    self._lose(f"it is held by {self.holder}")
                    return
            else:
                self._hold(sent_at, record)
                return

    def _hold(self, sent_at: float, record: LeaseRecord) -> None:
        """The lease is ours since ``sent_at``, when the request was sent that said so."""
        with self._condition:
            self._record = record
            held_until = sent_at + self._timing.renew_deadline_s
            if self._is_over() or held_until <= self._clock.now():
                return
            is_start = self._phase is Phase.CANDIDATE
            self._held_until = held_until
            self._phase = Phase.LEADING
            if is_start:
                self._condition.notify_all()
        if is_start:
            _LOG.info("leads identity=%s", self._who.identity)
            self._on_started()

    def _check_deadline(self) -> None:
        if self._phase is Phase.LEADING and self.remaining_s() <= 0:
            deadline_s = self._timing.renew_deadline_s
            last = f": {self._last_error}" if self._last_error else ""
            self._lose(f"no renewal was accepted for {deadline_s:g} s{last}")

    def _lose(self, why: str) -> None:
        with self._condition:
            if self._phase is not Phase.LEADING:
                return
            self._phase = Phase.LOST
            self._held_until = -math.inf
            self._condition.notify_all()
        _LOG.error("lease is lost identity=%s why=%s", self._who.identity, why)
        self._on_lost()

    def _release(self, record: LeaseRecord, timeout_s: float) -> None:
        try:
            self._store.release(record, timeout_s=timeout_s)
        except (ExternalError, TransientError) as error:
            _LOG.warning("lease was not freed, runs out by itself error=%s", error)
        else:
            _LOG.info("lease is freed identity=%s", self._who.identity)

    def _timeout_s(self) -> float:
        """Half the deadline for a request, so that one that hangs can be tried again."""
        half_s = self._timing.renew_deadline_s / 2
        left_s = self.remaining_s() if self._phase is Phase.LEADING else half_s
        return max(SHORTEST_S, min(half_s, left_s))

    def _tell(self, error: DistilleryError) -> None:
        if error.message != self._last_error:
            _LOG.warning("lease request failed identity=%s error=%s", self._who.identity, error)
        self._last_error = error.message

    def _next_delay_s(self, least_s: float) -> float:
        """The wait before the next step: a leader never waits beyond its deadline, whatever the
        API server asks for, and a candidate not beyond the moment the lease may be taken."""
        retry_s = self._timing.retry_s
        if self._phase is Phase.LEADING:
            return min(max(retry_s, least_s), max(self.remaining_s() / 2, SHORTEST_S))
        jittered_s = retry_s * self._rng.uniform(1.0, 1.2)
        left_s = self._wait_left_s()
        return max(least_s, min(jittered_s, left_s) if left_s > 0 else jittered_s)
