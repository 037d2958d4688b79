"""Builds the config of any step out of the job and what is known so far. Pure.

Called by the planner, for the next step, and by prepare, to find which steps are finished.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from distillery.errors import InvariantError
from distillery.manifests import ManifestRef, step_prefix
from distillery.spec.job import DistillationJob, JobSpec
from distillery.stage_configs import (
    CurateConfig,
    CurateInputs,
    CurateSettings,
    EvaluateConfig,
    EvaluateInputs,
    EvaluateSettings,
    GenerateConfig,
    GenerateInputs,
    GenerateSettings,
    PinnedModel,
    PrepareConfig,
    PrepareInputs,
    PublishConfig,
    PublishInputs,
    PublishSettings,
    StageConfig,
    StepContext,
    TargetSet,
    TrainConfig,
    TrainInputs,
    TrainSettings,
    input_hash,
)
from distillery.steps import PREPARE, Stage, Step, upstream_of
from distillery.tasks import PromptVariant

TEACHER_PIN = "teacher"


def student_pin(name: str) -> str:
    """The key of a student's pinned model in ``PrepareVerdict.pins``."""
    return f"students/{name}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where steps run on this machine: see ``StepContext``."""

    scratch_dir: str
    output_dir: str = ""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What has been found out: prepare's pins, the manifest of each finished step by step id, and
    the students that failed for good with their messages."""

    pins: Mapping[str, PinnedModel] = field(default_factory=dict)
    manifests: Mapping[str, ManifestRef] = field(default_factory=dict)
    failed_students: Mapping[str, str] = field(default_factory=dict)


def build_config(
    step: Step, job: DistillationJob, known: Known, *, place: Place, attempt: int
) -> StageConfig:
    """The config of one attempt of ``step``.

    Raises: ``InvariantError`` where a manifest or pin it needs is not in ``known``.
    """
    upstream = _upstream(step, job.spec, known)
    context = StepContext(
        job=job.metadata.name,
        namespace=job.metadata.namespace,
        step=step.id,
        student=step.student,
        attempt=attempt,
        storage=job.spec.storage,
        upstream=upstream,
        scratch_dir=place.scratch_dir,
        output_dir=place.output_dir,
    )
    if step == PREPARE:
        return PrepareConfig(context=context, inputs=_prepare_inputs(job.spec), spec=job.spec)
    config = _BUILDERS[step.stage](step, job.spec, known, context)
    digest = input_hash(config.inputs, upstream)
    prefix = step_prefix(
        namespace=context.namespace, job=context.job, step=step.id, input_hash=digest
    )
    placed = context.model_copy(update={"input_hash": digest, "prefix": prefix})
    return config.model_copy(update={"context": placed})


def _upstream(step: Step, spec: JobSpec, known: Known) -> dict[str, ManifestRef]:
    refs = {}
    for needed in upstream_of(step, spec):
        if needed.id in known.manifests:
            refs[needed.id] = known.manifests[needed.id]
        elif needed.student not in known.failed_students:
            raise InvariantError(f"{step.id}: {needed.id} has no manifest yet")
    return refs


def _pin(known: Known, key: str) -> PinnedModel:
    try:
        return known.pins[key]
    except KeyError as error:
        raise InvariantError(f"{key}: prepare has pinned no such model") from error


def _prepare_inputs(spec: JobSpec) -> PrepareInputs:
    return PrepareInputs(
        task=spec.task,
        dataset=spec.dataset,
        system=spec.prompts.system,
        user=spec.prompts.user,
        max_summary_words=spec.prompts.max_summary_words,
        labels=spec.labels,
    )


def _generate(step: Step, spec: JobSpec, known: Known, context: StepContext) -> StageConfig:
    engine = spec.teacher.engine
    inputs = GenerateInputs(
        task=spec.task,
        labels=spec.labels,
        prompts=spec.prompts,
        teacher=_pin(known, TEACHER_PIN),
        variants=spec.teacher.prompts,
        sampling=spec.teacher.sampling,
        max_tokens=spec.teacher_max_tokens,
        max_model_len=engine.max_model_len,
        dtype=engine.dtype,
        structured_outputs=engine.type == "vllm" and engine.structured_outputs,
    )
    settings = GenerateSettings(engine=engine, min_success_ratio=spec.teacher.min_success_ratio)
    return GenerateConfig(context=context, inputs=inputs, settings=settings)


def _curate(step: Step, spec: JobSpec, known: Known, context: StepContext) -> StageConfig:
    sets = {(arm, student.target) for student in spec.students for arm in student.arms}
    inputs = CurateInputs(
        task=spec.task,
        labels=spec.labels,
        prompts=spec.prompts,
        variants=spec.teacher.prompts,
        target_sets=tuple(TargetSet(arm=arm, kind=kind) for arm, kind in sorted(sets)),
    )
    settings = CurateSettings(min_success_ratio=spec.teacher.min_success_ratio)
    return CurateConfig(context=context, inputs=inputs, settings=settings)


def _train(step: Step, spec: JobSpec, known: Known, context: StepContext) -> StageConfig:
    student = spec.student(step.student)
    inputs = TrainInputs(
        student=_pin(known, student_pin(student.name)),
        method=student.method,
        training=student.training,
        arms=student.arms,
        seeds=student.seeds,
        target=student.target,
    )
    settings = TrainSettings(workers=student.workers)
    return TrainConfig(context=context, inputs=inputs, settings=settings)


def _evaluate(step: Step, spec: JobSpec, known: Known, context: StepContext) -> StageConfig:
    student = spec.student(step.student)
    engine = spec.evaluation.engine
    inputs = EvaluateInputs(
        task=spec.task,
        labels=spec.labels,
        prompts=spec.prompts,
        student=_pin(known, student_pin(student.name)),
        target=student.target,
        base_variants=tuple(v for v in spec.teacher.prompts if v != PromptVariant.VANILLA),
        max_tokens=spec.evaluation.max_tokens,
        reference_max_tokens=spec.teacher_max_tokens,
        engine_type=engine.type,
        max_model_len=engine.max_model_len,
        dtype=engine.dtype,
    )
    return EvaluateConfig(context=context, inputs=inputs, settings=EvaluateSettings(engine=engine))


def _publish(step: Step, spec: JobSpec, known: Known, context: StepContext) -> StageConfig:
    names = [student.name for student in spec.students]
    inputs = PublishInputs(
        task=spec.task,
        labels=spec.labels,
        prompts=spec.prompts,
        teacher=_pin(known, TEACHER_PIN),
        students={name: _pin(known, student_pin(name)) for name in names},
        promote_if=spec.evaluation.promote_if,
    )
    settings = PublishSettings(
        engine=spec.evaluation.engine,
        spec=spec,
        failed_students=dict(known.failed_students),
    )
    return PublishConfig(context=context, inputs=inputs, settings=settings)


_Builder = Callable[[Step, JobSpec, Known, StepContext], StageConfig]
_BUILDERS: dict[Stage, _Builder] = {
    Stage.GENERATE: _generate,
    Stage.CURATE: _curate,
    Stage.TRAIN: _train,
    Stage.EVALUATE: _evaluate,
    Stage.PUBLISH: _publish,
}
