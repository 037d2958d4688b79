"""What runs in a head pod: Ray and its one driver, acted out by a script.

A driver writes its records to the progress ConfigMap through the API server, as a step in a pod
does. It dies with its head. ``real_drivers.py`` has one that really runs the step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from controller.kube.resources import CONFIG_MAPS
from controller.plan.snapshot import RayStatus
from distillery.errors import ExternalError, TransientError
from distillery.progress import Outcome, Progress, StepRecord
from tests.doubles.kuberay.behaviour import Behaviour, DriverEnd
from tests.doubles.kuberay.world import World


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """What Ray's dashboard says of a job. Times are seconds since the epoch."""

    status: RayStatus
    message: str
    start_s: float
    end_s: float | None = None


class Driver(Protocol):
    """A submitted driver."""

    def tick(self, now_s: float) -> None:
        """Lets it do what is due."""
        ...

    def info(self) -> JobInfo:
        """How it is, as of the last tick."""
        ...

    def stop(self) -> None:
        """Stops it, if it runs."""
        ...


class ScriptedDriver:
    """A driver that follows ``behaviour``.

    Args:
        variables: Of the head's Ray container.
        pending_s: Before it is RUNNING.
        now_s: When it was submitted.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        world: World,
        variables: Mapping[str, str],
        pending_s: float,
        now_s: float,
    ) -> None:
        self._behaviour = behaviour
        self._world = world
        self._variables = variables
        self._runs_from_s = now_s + pending_s
        self._written: StepRecord | None = None
        self._info = JobInfo(status=RayStatus.PENDING, message="", start_s=now_s)

    def tick(self, now_s: float) -> None:
        """As ``Driver.tick``. It doesn't end before its last word is written."""
        if self._info.status.is_final or now_s < self._runs_from_s:
            return
        ran_s = now_s - self._runs_from_s
        self._info = self._with(RayStatus.RUNNING, None)
        progress = self._progress(ran_s)
        if self._behaviour.end == DriverEnd.NEVER or ran_s < self._behaviour.runs_s:
            self._say(progress, None)
        elif self._behaviour.outcome is None or self._say(progress, self._behaviour.outcome):
            self._info = self._with(RayStatus(self._behaviour.end.value), now_s)

    def info(self) -> JobInfo:
        """As ``Driver.info``."""
        return self._info

    def stop(self) -> None:
        """As ``Driver.stop``."""
        if not self._info.status.is_final:
            self._info = self._with(RayStatus.STOPPED, self._runs_from_s)

    def _with(self, status: RayStatus, end_s: float | None) -> JobInfo:
        message = self._behaviour.message if end_s is not None else "Job is currently running."
        return JobInfo(status=status, message=message, start_s=self._info.start_s, end_s=end_s)

    def _progress(self, ran_s: float) -> Progress | None:
        due = [each.progress for each in self._behaviour.records if each.after_s <= ran_s]
        return due[-1] if due else None

    def _say(self, progress: Progress | None, outcome: Outcome | None) -> bool:
        """Writes the record, where there is news and a ConfigMap; whether it stands there."""
        if progress is None and outcome is None:
            return True
        record = StepRecord(
            attempt=int(self._variables["DISTILLERY_ATTEMPT"]),
            submission_id=self._variables["DISTILLERY_SUBMISSION_ID"],
            progress=progress,
            outcome=outcome,
        )
        if record == self._written:
            return True
        try:
            self._write(record)
        except (ExternalError, TransientError):
            return False
        self._written = record
        return True

    def _write(self, record: StepRecord) -> None:
        name = self._variables["DISTILLERY_PROGRESS_CONFIG_MAP"]
        place = {"namespace": self._variables["DISTILLERY_NAMESPACE"], "name": name}
        text = record.model_dump_json(by_alias=True, exclude_none=True)
        changes = {self._variables["DISTILLERY_STEP"]: text}
        self._world.change_data(CONFIG_MAPS, {"metadata": place}, changes)
