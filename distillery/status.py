"""``status``: what a user sees of a running job. Written by the planner alone."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from distillery.conditions import ConditionStatus, ConditionType
from distillery.progress import Progress
from distillery.spec.model import Model
from distillery.steps import Stage

MAX_STATUS_MESSAGE_CHARS = 256


class StepState(StrEnum):
    """How far a step is."""

    WAITING = "Waiting"
    RUNNING = "Running"
    BACKING_OFF = "BackingOff"
    DONE = "Done"
    FAILED = "Failed"
    SKIPPED = "Skipped"

    @property
    def is_final(self) -> bool:
        """Whether this step needs no more attention in this run."""
        return self in (StepState.DONE, StepState.FAILED, StepState.SKIPPED)


class Condition(Model):
    """One aspect of the job, as Kubernetes writes it."""

    type: ConditionType
    status: ConditionStatus
    reason: str = Field(max_length=64)
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)
    last_transition_time: datetime
    """When ``status`` last changed."""


class StageStatus(Model):
    """One step."""

    stage: Stage
    student: str = ""
    state: StepState
    attempt: int = 0
    """The latest attempt's number; 0 before the first."""
    ray_job_name: str = ""
    """The latest attempt's submission id in the Ray dashboard."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    reason: str = ""
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)
    progress: Progress | None = None

    @property
    def step(self) -> str:
        """The step's id, such as ``train-llama-8b``."""
        return f"{self.stage}-{self.student}" if self.student else self.stage.value


class JobStatus(Model):
    """``status`` of a DistillationJob."""

    conditions: tuple[Condition, ...] = ()
    stages: tuple[StageStatus, ...] = ()

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type; None where there is none yet."""
        return next((each for each in self.conditions if each.type == kind), None)

    def is_true(self, kind: ConditionType) -> bool:
        """Whether the condition of that type is True."""
        found = self.condition(kind)
        return found is not None and found.status == ConditionStatus.TRUE
