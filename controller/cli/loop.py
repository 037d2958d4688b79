"""Observe, decide, act, record: runs a job's steps until the planner says that the run has ended.

Decisions are ``controller.plan``'s. What is started is recorded before it is started, so that no
crash leaves a Ray job behind that the next run doesn't know.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from controller.cli.interrupts import Interrupts
from controller.cli.workdir import RunState, write_state
from controller.launchers.ray_launcher import Observation
from controller.plan.actions import Action, AdoptStep, Plan, StartStep, StopStep
from controller.plan.planner import plan
from controller.plan.snapshot import Attempt, RayStatus, Snapshot
from distillery.errors import DistilleryError, ExternalError, TransientError
from distillery.manifests import canonical_json, sha256_hex
from distillery.progress import Outcome, OutcomeState
from distillery.spec.job import DistillationJob
from distillery.stage_configs import StageConfig
from distillery.status import JobStatus
from distillery.step_configs import Place

CLUSTER_LOST_S = 60.0
"""Ray may be silent for so long, while it is busy, before it counts as gone."""
YOUNG_S = 30.0
YOUNG_POLL_S = 0.2
OLD_POLL_S = 0.5


class Launcher(Protocol):
    """What the loop needs of ``RayLauncher``."""

    def launch(self, attempt: Attempt, config: StageConfig) -> None:
        """Starts the attempt; a second call changes nothing."""
        ...

    def observe(self, attempt: Attempt) -> Observation:
        """How the attempt is now."""
        ...

    def stop(self, attempt: Attempt) -> None:
        """Asks for the attempt's end."""
        ...


class View(Protocol):
    """Who is told how the run goes."""

    def show(self, status: JobStatus) -> None:
        """The status as it is now."""
        ...

    def say(self, message: str) -> None:
        """A line for the user."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What is run, and which invocation this is (``run``, a few characters found nowhere else)."""

    job: DistillationJob
    place: Place
    run: str

    @property
    def digest(self) -> str:
        """Names all that decides what a step is sent."""
        document = {"job": self.job.dump(), "scratch": self.place.scratch_dir}
        return sha256_hex(canonical_json({**document, "output": self.place.output_dir}))[:16]


class RunLoop:
    """One run of a job in its folder.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        identity: RunIdentity,
        *,
        workdir: Path,
        state: RunState,
        launcher: Launcher,
        view: View,
        clock: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._workdir = workdir
        self.state = state
        self._launcher = launcher
        self._view = view
        self._clock = clock
        self._silent_since: float | None = None
        self._written: RunState | None = None

    def run(self, interrupts: Interrupts) -> JobStatus:
        """Goes on until the run has ended, or was interrupted and everything has stopped.

        Raises: ``ExternalError`` when Ray is gone.
        """
        while True:
            decided = self.turn(suspended=interrupts.has_come)
            if decided.requeue_after_s is None:
                return decided.status
            wait_s = min(decided.requeue_after_s, self._poll_s())
            if not interrupts.has_come:
                interrupts.wait(wait_s)
            else:
                interrupts.pause(YOUNG_POLL_S)

    def turn(self, *, suspended: bool = False) -> Plan:
        """One round of observing, deciding, acting and recording."""
        for attempt in self.state.attempts:
            if attempt.is_live:
                self._observe(attempt)
        decided = plan(self._snapshot(suspended), self._clock())
        self._save(status=decided.status)
        self._view.show(decided.status)
        for action in decided.actions:
            self._act(action)
        return decided

    def _snapshot(self, suspended: bool) -> Snapshot:
        return Snapshot(
            job=self._identity.job,
            job_digest=self._identity.digest,
            place=self._identity.place,
            run=self._identity.run,
            attempts=self.state.attempts,
            suspended=suspended,
            previous=self.state.status,
        )

    def _observe(self, attempt: Attempt) -> None:
        try:
            seen = self._launcher.observe(attempt)
        except TransientError as error:
            self._bear_silence(error)
            return
        self._silent_since = None
        update: dict[str, object] = {
            "ray_status": seen.status,
            "progress": seen.progress,
            "outcome": seen.outcome,
        }
        if seen.status.is_final:
            update["ended_at"] = self._clock()
        self._replace(attempt.model_copy(update=update))

    def _bear_silence(self, error: TransientError) -> None:
        now = self._clock()
        self._silent_since = self._silent_since or now
        if now - self._silent_since > CLUSTER_LOST_S:
            raise ExternalError(
                f"{error.message.partition(';')[0]}, for {CLUSTER_LOST_S:.0f} s; run the same "
                "command again to go on from here",
                reason="ClusterLost",
            ) from error

    def _act(self, action: Action) -> None:
        match action:
            case StartStep():
                self._start(action)
            case AdoptStep(attempt=attempt):
                self._view.say(f"{attempt.step}: still runs from before, taken over")
                self._replace(
                    attempt.model_copy(update={"run": self._identity.run, "adopted": True})
                )
                self._save()
            case StopStep(attempt=attempt, why=why):
                self._view.say(f"{attempt.step}: stopping attempt {attempt.number}, {why}")
                try:
                    self._launcher.stop(attempt)
                except TransientError as error:
                    self._bear_silence(error)

    def _start(self, action: StartStep) -> None:
        attempt = Attempt(
            step=action.step.id,
            number=action.number,
            run=self._identity.run,
            submission_id=submission_id(self._identity, action),
            job_digest=self._identity.digest,
            config_hash=sha256_hex(canonical_json(action.config.dump()))[:16],
            started_at=self._clock(),
        )
        self.state = self.state.model_copy(update={"attempts": (*self.state.attempts, attempt)})
        self._save()
        try:
            self._launcher.launch(attempt, action.config)
        except TransientError as error:
            self._bear_silence(error)  # whether it was taken is seen at the next look
        except DistilleryError as error:
            outcome = Outcome(
                state=OutcomeState.FAILED,
                reason=error.reason,
                message=error.message,
                retriable=isinstance(error, ExternalError),
            )
            self._replace(
                attempt.model_copy(
                    update={
                        "ray_status": RayStatus.LOST,
                        "outcome": outcome,
                        "ended_at": self._clock(),
                    }
                )
            )
            self._save()

    def _replace(self, changed: Attempt) -> None:
        attempts = tuple(
            changed if each.submission_id == changed.submission_id else each
            for each in self.state.attempts
        )
        self.state = self.state.model_copy(update={"attempts": attempts})

    def _save(self, *, status: JobStatus | None = None) -> None:
        if status is not None:
            self.state = self.state.model_copy(update={"status": status})
        if self.state != self._written:
            write_state(self._workdir, self.state)
            self._written = self.state

    def _poll_s(self) -> float:
        now = self._clock()
        young = any(now - each.started_at < YOUNG_S for each in self.state.attempts if each.is_live)
        return YOUNG_POLL_S if young else OLD_POLL_S


def submission_id(identity: RunIdentity, action: StartStep) -> str:
    """The Ray job's name: unique over runs, and readable in Ray's dashboard."""
    raw = f"{identity.job.metadata.name}-{action.step.id}-{action.number}-{identity.run}"
    return re.sub(r"[^A-Za-z0-9_-]", "-", raw)
