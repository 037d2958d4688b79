"""A step's records in the job's progress ConfigMap, where the controller reads them.

``ProgressMap`` is the ``Sink`` of ``progress.py``: its thread writes the newest record at most
every 10 s where something changed, else every 60 s, and the outcome at once and again until it is
there. How a record gets there is ``config_map_key.py``'s. A failure is logged and never stops the
stage.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distillery.errors import InvariantError, TransientError
from distillery.progress import Outcome, Progress, StepRecord
from ray_jobs.config_map_key import UNWRITTEN, ApiAccess, ConfigMapKey

_LOG = logging.getLogger(__name__)

CONFIG_MAP_VARIABLE = "DISTILLERY_PROGRESS_CONFIG_MAP"
NAMESPACE_VARIABLE = "DISTILLERY_NAMESPACE"
STEP_VARIABLE = "DISTILLERY_STEP"
ATTEMPT_VARIABLE = "DISTILLERY_ATTEMPT"
SUBMISSION_VARIABLE = "DISTILLERY_SUBMISSION_ID"
HOST_VARIABLE = "KUBERNETES_SERVICE_HOST"
PORT_VARIABLE = "KUBERNETES_SERVICE_PORT"
ACCOUNT_VARIABLE = "DISTILLERY_SERVICE_ACCOUNT_DIR"
"""Where another folder than Kubernetes' own holds the account's ``token`` and ``ca.crt``."""
ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"

_NEVER_S = 3600.0


class RecordWriter(Protocol):
    """``ConfigMapKey``, or what is as good."""

    def write(self, record: StepRecord) -> bool:
        """False where a later attempt has written; raises ``TransientError``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who writes: the attempt's number and its submission."""

    attempt: int
    submission_id: str


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Seconds. ``changed_s`` and ``unchanged_s`` are the least between two writes; ``outcome_s`` is
    how long the outcome is tried; failures are followed by 1, 2, 4 ... ``max_backoff_s``; of what
    the server asks for, at most ``max_told_s`` is waited."""

    changed_s: float = 10.0
    unchanged_s: float = 60.0
    outcome_s: float = 300.0
    max_backoff_s: float = 30.0
    max_told_s: float = 60.0


class ProgressMap:
    """A ``Sink``. Each record that wasn't written when the next came is never written.

    Args:
        key: Where records go.
        writer: Written into each record.
        intervals: When records are written.
        clock: Monotonic seconds.
        draw: A random share (0-1), so that many steps don't come back together.
    """

    def __init__(
        self,
        key: RecordWriter,
        *,
        writer: Writer,
        intervals: Intervals | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._key = key
        self._writer = writer
        self._intervals = intervals or Intervals()
        self._clock = clock
        self._draw = draw
        self._changed = threading.Condition()
        self._progress: Progress | None = None
        self._outcome: Outcome | None = None
        self._written: Progress | None = None
        self._written_at = float("-inf")
        self._retry_at = self._told_at = float("-inf")
        self._num_failures = 0
        self._num_beats = 0
        self._is_over = False

    def start(self) -> None:
        """Begins to write, on a thread that ends with the process."""
        threading.Thread(target=self._run, name="progress-map", daemon=True).start()

    def show(self, progress: Progress) -> None:
        """As ``Sink.show``."""
        with self._changed:
            self._progress = progress
            self._changed.notify_all()

    def close(self, progress: Progress, outcome: Outcome) -> None:
        """As ``Sink.close``: waits ``outcome_s`` at most. An outcome that is lost counts as none,
        and the step as failed."""
        self.end(progress, outcome)
        timeout_s = self._intervals.outcome_s
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_over, timeout_s):
                self._is_over = True
                self._changed.notify_all()
                _LOG.error("outcome isn't written and counts as lost waited_s=%g", timeout_s)

    def end(self, progress: Progress, outcome: Outcome) -> None:
        """Makes the outcome the one thing that is still to be written; returns at once."""
        with self._changed:
            self._progress, self._outcome = progress, outcome
            self._retry_at = self._told_at  # Our own backoff was for less; the server's word holds.
            self._changed.notify_all()

    def step(self) -> None:
        """Writes what is due now, if anything is."""
        with self._changed:
            if self._is_over or self._due_in_s() > 0:
                return
            record = self._next_record()
        try:
            is_ours = self._key.write(record)
        except TransientError as error:
            self._note_failure(error)
        else:
            self._note_written(record, is_ours=is_ours)

    def due_in_s(self) -> float:
        """Seconds until something is due, as things stand now."""
        with self._changed:
            return self._due_in_s()

    def _run(self) -> None:
        while self._wait_until_due():
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - the thread's edge: the stage goes on
                _LOG.exception("progress can't be written")
                problem = f"progress: can't be written, got {type(error).__name__}; see the log"
                self._note_failure(TransientError(problem, reason=UNWRITTEN, delay_s=0))

    def _wait_until_due(self) -> bool:
        """False once it is over."""
        with self._changed:
            while not self._is_over:
                delay_s = self._due_in_s()
                if delay_s <= 0:
                    return True
                self._changed.wait(delay_s)
        return False

    def _due_in_s(self) -> float:
        if self._progress is None:
            return _NEVER_S
        due_at = self._retry_at
        if self._outcome is None:
            is_same = _is_same(self._progress, self._written)
            interval_s = self._intervals.unchanged_s if is_same else self._intervals.changed_s
            due_at = max(due_at, self._written_at + interval_s)
        return due_at - self._clock()

    def _next_record(self) -> StepRecord:
        progress = self._progress or Progress()
        if _is_same(progress, self._written):
            self._num_beats += 1  # Nothing has changed but the time: the driver is alive.
        return StepRecord(
            attempt=self._writer.attempt,
            submission_id=self._writer.submission_id,
            progress=progress.model_copy(update={"beat": progress.beat + self._num_beats}),
            outcome=self._outcome,
        )

    def _note_failure(self, error: TransientError) -> None:
        with self._changed:
            if not self._num_failures:
                _LOG.warning("progress isn't written, it is tried again message=%s", error.message)
            self._num_failures += 1
            backoff_s = min(self._intervals.max_backoff_s, 2.0 ** min(self._num_failures - 1, 16))
            now = self._clock()
            self._told_at = now + min(error.delay_s, self._intervals.max_told_s)
            self._retry_at = max(self._told_at, now + backoff_s * (1 + self._draw()) / 2)

    def _note_written(self, record: StepRecord, *, is_ours: bool) -> None:
        with self._changed:
            if not is_ours:
                _LOG.warning("a later attempt writes here now attempt=%d", record.attempt)
            elif self._num_failures:
                _LOG.info("progress is written again failures=%d", self._num_failures)
            self._num_failures = 0
            self._written, self._written_at = record.progress, self._clock()
            self._is_over = not is_ours or record.outcome is not None
            self._changed.notify_all()


def open_progress_map(environment: Mapping[str, str]) -> ProgressMap | None:
    """The sink that a process's environment names, at work; None where it names none.

    Raises:
        InvariantError: The environment names a ConfigMap, and not all that belongs to it.
    """
    name = environment.get(CONFIG_MAP_VARIABLE)
    if not name:
        return None
    namespace, step, attempt, submission, host, port = (
        _read(environment, variable)
        for variable in (
            NAMESPACE_VARIABLE,
            STEP_VARIABLE,
            ATTEMPT_VARIABLE,
            SUBMISSION_VARIABLE,
            HOST_VARIABLE,
            PORT_VARIABLE,
        )
    )
    if not attempt.isdecimal():
        raise InvariantError(f"{ATTEMPT_VARIABLE}: must be a number, got {attempt[:40]!r}")
    access = ApiAccess(
        url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        account=Path(environment.get(ACCOUNT_VARIABLE) or ACCOUNT_DIR),
    )
    progress_map = ProgressMap(
        ConfigMapKey(access, namespace=namespace, name=name, key=step),
        writer=Writer(attempt=int(attempt), submission_id=submission),
    )
    progress_map.start()
    return progress_map


def _read(environment: Mapping[str, str], variable: str) -> str:
    value = environment.get(variable, "")
    if not value:
        raise InvariantError(f"{variable}: must be set beside {CONFIG_MAP_VARIABLE}, got nothing")
    return value


def _is_same(progress: Progress, written: Progress | None) -> bool:
    """Whether nothing but the beat tells them apart."""
    return written is not None and progress.model_copy(update={"beat": written.beat}) == written
