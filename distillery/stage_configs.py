"""What each step is sent: one JSON document, built here and parsed by the same class in the job.

Each config has three parts. ``context`` says where and for whom; ``inputs`` is all that decides
the result, and nothing else is hashed; ``settings`` is how it is carried out (engines, limits).
A field moved from one part to another re-runs every finished step of that stage: a test pins the
hashes of golden specifications.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from distillery.manifests import ManifestRef, canonical_json, sha256_hex
from distillery.sizing.estimates import Estimate
from distillery.spec.dataset import DatasetSpec, PromptsSpec
from distillery.spec.engine import Dtype, EngineSpec
from distillery.spec.job import JobSpec, PromoteIf, StorageSpec
from distillery.spec.model import Model
from distillery.spec.student import FullMethod, LoraMethod, TrainingSpec, WorkersSpec
from distillery.spec.teacher import SamplingSpec
from distillery.tasks import Arm, PromptVariant, TargetKind, TaskName

CONFIG_VARIABLE = "DISTILLERY_STEP_CONFIG"
"""The environment variable that carries a step's config where ``--config`` names no file."""


class StepContext(Model):
    """Where a step runs and for whom. ``upstream`` maps step ids to the manifests to read.

    ``scratch_dir`` is a folder that outlives the attempt on this machine: checkpoints, caches.
    ``output_dir``, where given, also gets the job's report and results. ``prefix`` and
    ``input_hash`` are empty for ``prepare``, which works them out from the data it finds.
    """

    job: str
    namespace: str
    step: str
    student: str = ""
    attempt: int = 1
    storage: StorageSpec
    prefix: str = ""
    input_hash: str = ""
    upstream: dict[str, ManifestRef] = Field(default_factory=dict)
    scratch_dir: str
    output_dir: str = ""


class PinnedModel(Model):
    """A model as prepare found it. ``revision`` is the hub's commit (empty elsewhere); ``digest``
    names the weights; ``template_hash`` the renderer's template (``rendering.template_hash``)."""

    uri: str
    revision: str = ""
    date: str = ""
    digest: str
    template_hash: str


class PrepareInputs(Model):
    """What decides the prepared data, but for the digests of the files, which prepare adds."""

    revision: int = 1
    task: TaskName
    dataset: DatasetSpec
    system: str | None = None
    user: str = ""
    max_summary_words: int
    labels: tuple[str, ...]


class PrepareConfig(Model):
    """For ``ray_jobs.prepare``, which reads the whole job to pin models and find what is done."""

    stage: Literal["prepare"] = "prepare"
    context: StepContext
    inputs: PrepareInputs
    spec: JobSpec


class GenerateInputs(Model):
    """What decides the teacher's answers."""

    revision: int = 1
    task: TaskName
    labels: tuple[str, ...]
    prompts: PromptsSpec
    teacher: PinnedModel
    variants: tuple[PromptVariant, ...]
    sampling: SamplingSpec
    max_tokens: int
    max_model_len: int | None = None
    dtype: Dtype
    structured_outputs: bool = False


class GenerateSettings(Model):
    """How the answers are made."""

    engine: EngineSpec
    min_success_ratio: float


class GenerateConfig(Model):
    """For ``ray_jobs.generate``."""

    stage: Literal["generate"] = "generate"
    context: StepContext
    inputs: GenerateInputs
    settings: GenerateSettings


class TargetSet(Model):
    """A set of training rows: whose labels, and what of them is said."""

    arm: Arm
    kind: TargetKind

    @property
    def name(self) -> str:
        """The set's folder below ``targets/``."""
        return f"{self.arm}-{self.kind}"


class CurateInputs(Model):
    """What decides the training rows."""

    revision: int = 1
    task: TaskName
    labels: tuple[str, ...]
    prompts: PromptsSpec
    variants: tuple[PromptVariant, ...]
    target_sets: tuple[TargetSet, ...]


class CurateSettings(Model):
    """Where curation stops the job."""

    min_success_ratio: float


class CurateConfig(Model):
    """For ``ray_jobs.curate``."""

    stage: Literal["curate"] = "curate"
    context: StepContext
    inputs: CurateInputs
    settings: CurateSettings


class TrainInputs(Model):
    """What decides a student's weights."""

    revision: int = 1
    student: PinnedModel
    method: Annotated[LoraMethod | FullMethod, Field(discriminator="type")]
    training: TrainingSpec
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    target: TargetKind


class TrainSettings(Model):
    """On what a student is trained."""

    workers: WorkersSpec


class TrainConfig(Model):
    """For ``ray_jobs.train``."""

    stage: Literal["train"] = "train"
    context: StepContext
    inputs: TrainInputs
    settings: TrainSettings


class EvaluateInputs(Model):
    """What decides a student's predictions and their scores."""

    revision: int = 1
    task: TaskName
    labels: tuple[str, ...]
    prompts: PromptsSpec
    student: PinnedModel
    target: TargetKind
    base_variants: tuple[PromptVariant, ...]
    max_tokens: int | None = None
    reference_max_tokens: int
    engine_type: str
    max_model_len: int | None = None
    dtype: Dtype


class EvaluateSettings(Model):
    """How the predictions are made."""

    engine: EngineSpec


class EvaluateConfig(Model):
    """For ``ray_jobs.evaluate``. Which trials there are, it reads in train's manifest."""

    stage: Literal["evaluate"] = "evaluate"
    context: StepContext
    inputs: EvaluateInputs
    settings: EvaluateSettings


class PublishInputs(Model):
    """What decides the report: all manifests, and the rules of promotion."""

    revision: int = 1
    task: TaskName
    labels: tuple[str, ...]
    prompts: PromptsSpec
    teacher: PinnedModel
    students: dict[str, PinnedModel]
    promote_if: PromoteIf | None = None


class PublishSettings(Model):
    """How merged weights are evaluated again, which students failed before, and the job as the
    user wrote it, for the report and the cards."""

    engine: EngineSpec
    spec: JobSpec
    failed_students: dict[str, str] = Field(default_factory=dict)
    """Student to the message it failed with."""


class PublishConfig(Model):
    """For ``ray_jobs.publish``."""

    stage: Literal["publish"] = "publish"
    context: StepContext
    inputs: PublishInputs
    settings: PublishSettings


StageConfig = Annotated[
    PrepareConfig | GenerateConfig | CurateConfig | TrainConfig | EvaluateConfig | PublishConfig,
    Field(discriminator="stage"),
]
_STAGE_CONFIG: TypeAdapter[StageConfig] = TypeAdapter(StageConfig)


def parse_stage_config(document: str | bytes) -> StageConfig:
    """The config in a JSON document. Raises pydantic's ``ValidationError``."""
    return _STAGE_CONFIG.validate_json(document)


def input_hash(inputs: Model, upstream: dict[str, ManifestRef]) -> str:
    """What names a step's result: 16 hex digits over its inputs and the manifests it reads."""
    document = {
        "inputs": inputs.dump(),
        "kind": type(inputs).__name__,
        "upstream": {step: ref.sha256 for step, ref in upstream.items()},
    }
    return sha256_hex(canonical_json(document))[:16]


class PrepareVerdict(Model):
    """Prepare's summary, all the planner needs to go on: the data's manifest, the pinned models
    (key ``teacher`` or ``students/<name>``), the steps found finished, and what the job is expected
    to take, where it says its GPUs."""

    dataset: ManifestRef
    pins: dict[str, PinnedModel]
    finished: dict[str, ManifestRef] = Field(default_factory=dict)
    estimate: Estimate | None = None
