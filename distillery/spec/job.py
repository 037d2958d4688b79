"""The whole DistillationJob resource."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from distillery.names import (
    DEFAULT_NAMESPACE,
    MAX_JOB_NAME_CHARS,
    NAME_PATTERN,
)
from distillery.spec.dataset import DatasetSpec, PromptsSpec, Uri
from distillery.spec.engine import EngineSpec, VllmEngineSpec
from distillery.spec.model import Model
from distillery.spec.runtime import CredentialName, CredentialSpec, RuntimeSpec
from distillery.spec.student import StudentSpec
from distillery.spec.teacher import TeacherSpec
from distillery.tasks import TASK_FACTS, Arm, TaskFacts, TaskName

API_VERSION = "distillery.dev/v1alpha1"
KIND = "DistillationJob"


class FailurePolicy(StrEnum):
    """What a student's terminal failure does to the other students."""

    CONTINUE = "Continue"
    FAIL_FAST = "FailFast"


class PromoteIf(Model):
    """A student is promoted when ``arm`` beats ``beats`` over all seeds."""

    arm: Arm
    beats: Arm = Arm.BASE
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence level of the interval of the difference, which must lie above 0."""


class EvaluationSpec(Model):
    """How base and every trial are evaluated: whole test set, greedy."""

    engine: EngineSpec = VllmEngineSpec()
    max_tokens: int | None = Field(default=None, ge=1, le=131_072)
    """Longest answer. Default: 1.5 x the 99th percentile of target tokens, the same for all."""
    promote_if: PromoteIf | None = None


class StorageSpec(Model):
    """Where everything is kept. Without ``credentialsRef`` credentials are the surroundings', as
    the AWS SDK finds them."""

    uri: Uri
    """``file://`` or ``s3://bucket/prefix``; a plain path for the command."""
    endpoint_url: str = Field(default="", max_length=1024)
    """``s3://`` only: the server, if it isn't AWS."""
    region: str = Field(default="", max_length=64)
    """``s3://`` only: the bucket's region, if the server wants it."""
    credentials_ref: CredentialName | None = None
    """Name of a credential of kind S3, in a cluster."""


class RetriesSpec(Model):
    """How often a step is tried."""

    max_attempts: int = Field(default=3, ge=1, le=20)
    """Tries of one step that may fail by themselves."""
    max_preemptions: int = Field(default=20, ge=0, le=100)
    """Tries of one step that may be taken away by the cluster besides."""


class JobSpec(Model):
    """``spec``."""

    task: TaskName
    dataset: DatasetSpec
    prompts: PromptsSpec = PromptsSpec()
    teacher: TeacherSpec
    students: tuple[StudentSpec, ...] = Field(min_length=1, max_length=16)
    """The models to train, each with steps of its own."""
    evaluation: EvaluationSpec = EvaluationSpec()
    storage: StorageSpec
    failure_policy: FailurePolicy = FailurePolicy.CONTINUE
    retries: RetriesSpec = RetriesSpec()
    credentials: tuple[CredentialSpec, ...] = Field(default=(), max_length=8)
    """Secrets that ``credentialsRef`` fields name. Without any, the pods' own identity is used."""
    runtime: RuntimeSpec = RuntimeSpec()
    suspend: bool = False
    """Stop everything and keep what is finished; false goes on."""
    ttl_seconds_after_finished: int | None = Field(default=None, ge=0, le=315_360_000)
    """Delete the resource so long after its end. Artefacts stay. Default: never."""

    @property
    def facts(self) -> TaskFacts:
        """The task's fixed facts."""
        return TASK_FACTS[self.task]

    @property
    def labels(self) -> tuple[str, ...]:
        """The allowed answers; empty where the task has no label space."""
        return self.prompts.labels or self.facts.default_labels

    @property
    def teacher_max_tokens(self) -> int:
        """Longest teacher answer in tokens, the task's default filled in."""
        return self.teacher.sampling.max_tokens or self.facts.default_max_tokens

    def student(self, name: str) -> StudentSpec:
        """The student called ``name``. Raises ``KeyError``."""
        return next(student for student in self.students if student.name == name)


class Metadata(Model):
    """``metadata``, as far as a job file may say it."""

    name: str = Field(max_length=MAX_JOB_NAME_CHARS, pattern=NAME_PATTERN)
    namespace: str = Field(
        default=DEFAULT_NAMESPACE, max_length=MAX_JOB_NAME_CHARS, pattern=NAME_PATTERN
    )
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class DistillationJob(Model):
    """One distillation: this teacher into these students, for this task."""

    api_version: Literal["distillery.dev/v1alpha1"]
    kind: Literal["DistillationJob"]
    metadata: Metadata
    spec: JobSpec
