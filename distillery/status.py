"""``status``: what a user sees of a running job. Written by the planner alone."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from distillery.conditions import ConditionStatus, ConditionType
from distillery.progress import Progress
from distillery.spec.model import Model
from distillery.steps import Stage

MAX_STATUS_MESSAGE_CHARS = 256
MAX_STAGES = 40
MAX_ARM_RESULTS = 16 * 9


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


class StepFailures(Model):
    """How often the step has failed in this run, by whose doing."""

    own: int = 0
    preemptions: int = 0
    unschedulable: int = 0


class StageStatus(Model):
    """One step."""

    stage: Stage
    student: str = ""
    state: StepState
    attempt: int = 0
    """The latest attempt's number; 0 before the first."""
    run: int = 0
    """The run it belongs to."""
    ray_job_name: str = ""
    """The latest attempt's RayJob, or its submission id where the Ray cluster is another's."""
    dashboard_url: str = ""
    """The Ray dashboard, only while the step lives."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    reason: str = ""
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)
    progress: Progress | None = None
    failures: StepFailures = StepFailures()
    failure_kind: str = Field(default="", max_length=32)
    """Whose doing the latest attempt's failure was: Own, Preemption, Unschedulable; empty where it
    hasn't failed."""
    retriable: bool = False
    """Whether that failure may be tried again."""

    @property
    def step(self) -> str:
        """The step's id, such as ``train-llama-8b``."""
        return f"{self.stage}-{self.student}" if self.student else self.stage.value


class RuntimeStatus(Model):
    """What was settled when the job was first accepted, and holds for all its attempts."""

    image: str
    ray_version: str
    config_version: int
    """Form of the documents the image's steps are sent."""
    run: int = 1
    """How often the job has begun: a resumed job begins anew, with prepare."""
    suspended: bool = False
    """Whether this run has been suspended: going on is the next run."""


class StatusSummary(Model):
    """The job in a line, for ``kubectl get``."""

    stage: str = ""
    progress: str = ""
    """Such as ``62%``."""
    teacher: str = ""
    students: str = ""
    """Evaluated of all, such as ``1/2``."""
    ray_job: str = ""
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)


class ArmFigures(Model):
    """An arm of a student over all its seeds: the task's primary metric on the whole test set."""

    student: str
    arm: str
    mean: float
    ci_low: float
    ci_high: float
    num_seeds: int


class ResultsStatus(Model):
    """What came out."""

    metric: str = ""
    arms: tuple[ArmFigures, ...] = Field(default=(), max_length=MAX_ARM_RESULTS)
    promoted: tuple[str, ...] = Field(default=(), max_length=16)
    """The students that passed ``evaluation.promoteIf``."""
    checkpoint_uri: str = ""
    """Where the students' published weights lie, a folder each."""
    report_uri: str = ""


class JobStatus(Model):
    """``status`` of a DistillationJob."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    summary: StatusSummary | None = None
    runtime: RuntimeStatus | None = None
    stages: tuple[StageStatus, ...] = Field(default=(), max_length=MAX_STAGES)
    results: ResultsStatus | None = None

    def dump(self) -> dict[str, object]:
        """As the API server is sent it: what is as by default is left out, for it is long."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type; None where there is none yet."""
        return next((each for each in self.conditions if each.type == kind), None)

    def is_true(self, kind: ConditionType) -> bool:
        """Whether the condition of that type is True."""
        found = self.condition(kind)
        return found is not None and found.status == ConditionStatus.TRUE
