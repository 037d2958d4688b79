"""``status``: what a user sees of a running job. Written by the planner alone."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from distillery.conditions import ConditionStatus, ConditionType
from distillery.names import MAX_STUDENT_NAME_CHARS
from distillery.progress import Progress
from distillery.sizing.estimates import Estimate
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
    """Why, as a word for programs."""
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)
    """Why, for a person."""
    last_transition_time: datetime
    """When ``status`` last changed."""


class StepFailures(Model):
    """How often the step has failed in this run, by whose doing."""

    own: int = 0
    """By its own doing; ``retries.maxAttempts`` bounds them."""
    preemptions: int = 0
    """Taken away by the cluster; ``retries.maxPreemptions`` bounds them."""
    unschedulable: int = 0
    """Never given a place."""


class StageStatus(Model):
    """One step."""

    stage: Stage
    student: str = Field(default="", max_length=MAX_STUDENT_NAME_CHARS)
    """The student it is for; empty where it is for the whole job."""
    state: StepState
    attempt: int = 0
    """The latest attempt's number; 0 before the first."""
    run: int = 0
    """The run it belongs to."""
    ray_job_name: str = Field(default="", max_length=253)
    """The latest attempt's RayJob, or its submission id where the Ray cluster is another's."""
    dashboard_url: str = Field(default="", max_length=1024)
    """The Ray dashboard, only while the step lives."""
    start_time: datetime | None = None
    """When the latest attempt began to run."""
    end_time: datetime | None = None
    """When it ended."""
    reason: str = Field(default="", max_length=64)
    """Why the step is as it is, as a word for programs."""
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)
    """Why, for a person; after a failure what went wrong and the way out."""
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

    image: str = Field(max_length=512)
    """Image of all Ray pods."""
    ray_version: str = Field(max_length=32)
    """The Ray in that image."""
    config_version: int
    """Form of the documents the image's steps are sent."""
    run: int = 1
    """How often the job has begun: a resumed job begins anew, with prepare."""
    suspended: bool = False
    """Whether this run has been suspended: going on is the next run."""
    upgrade: str = Field(default="", max_length=64)
    """The request of ``distillery upgrade`` that was carried out last."""


class StatusSummary(Model):
    """The job in a line, for ``kubectl get``."""

    stage: str = Field(default="", max_length=64)
    """The stages that run, or that the job waits for."""
    progress: str = Field(default="", max_length=32)
    """Such as ``62%``."""
    teacher: str = Field(default="", max_length=1024)
    """The model that answers."""
    students: str = Field(default="", max_length=32)
    """Evaluated of all, such as ``1/2``."""
    ray_job: str = Field(default="", max_length=253)
    """The latest attempt's RayJob."""
    message: str = Field(default="", max_length=MAX_STATUS_MESSAGE_CHARS)
    """What is wrong, or what is waited for."""


class ArmFigures(Model):
    """An arm of a student over all its seeds: the task's primary metric on the whole test set."""

    student: str = Field(max_length=MAX_STUDENT_NAME_CHARS)
    """The student's name."""
    arm: str = Field(max_length=32)
    """Whose labels it was trained on; Base: untrained."""
    mean: float
    """The metric's mean over the seeds."""
    ci_low: float
    """Where its confidence interval begins."""
    ci_high: float
    """Where it ends."""
    num_seeds: int
    """How many seeds it is the mean of."""


class ResultsStatus(Model):
    """What came out."""

    metric: str = Field(default="", max_length=64)
    """The task's primary metric."""
    arms: tuple[ArmFigures, ...] = Field(default=(), max_length=MAX_ARM_RESULTS)
    """Every arm of every student, the untrained base among them."""
    promoted: tuple[Annotated[str, Field(max_length=MAX_STUDENT_NAME_CHARS)], ...] = Field(
        default=(), max_length=16
    )
    """The students that passed ``evaluation.promoteIf``."""
    checkpoint_uri: str = Field(default="", max_length=2048)
    """Where the students' published weights lie, a folder each."""
    report_uri: str = Field(default="", max_length=2048)
    """The HTML report."""


class JobStatus(Model):
    """``status`` of a DistillationJob."""

    observed_generation: int = 0
    """The generation of ``spec`` this speaks of."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16)
    """The job's aspects: Accepted, Admitted, one a stage, Degraded, Succeeded, Finished."""
    summary: StatusSummary | None = None
    runtime: RuntimeStatus | None = None
    stages: tuple[StageStatus, ...] = Field(default=(), max_length=MAX_STAGES)
    """Every step, in the order they run."""
    estimate: Estimate | None = None
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
