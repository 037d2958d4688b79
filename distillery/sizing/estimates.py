"""A whole job's GPU hours, duration and price, step by step. Pure.

Assumptions are values of ``Amounts``, so that whoever prints an estimate can print them too: an
estimate is corrected where they turn out otherwise.
"""

from dataclasses import dataclass

from distillery.sizing.efficiencies import Efficiency
from distillery.sizing.engine_memory import EngineFormats, Layout, measure_engine
from distillery.sizing.precisions import WeightFormat
from distillery.sizing.shapes import ModelShape
from distillery.sizing.throughput import Node, Workload, estimate_speed
from distillery.sizing.training import TrainingPlan, seconds_of_training
from distillery.spec.engine import VllmEngineSpec
from distillery.spec.job import JobSpec
from distillery.spec.model import Model
from distillery.spec.student import LoraMethod, StudentSpec
from distillery.steps import evaluate_step, train_step

CHARS_PER_TOKEN = 4.0
"""Of English text in common vocabularies."""
PROMPT_TOKENS = 500.0
"""Length of a prompt, where nothing better is known."""
ANSWER_SHARE = 0.5
"""Length of a teacher's answer as a share of the longest allowed, where nothing better is known."""
EVALUATION_TOKENS = 64
"""Length of a student's answer, where ``evaluation.maxTokens`` doesn't say."""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much there is to do: prepared rows of each split, and mean tokens."""

    num_train: int
    num_validation: int
    num_test: int
    prompt_tokens: float
    answer_tokens: float


class Estimate(Model):
    """What a job is expected to take, on the GPUs of ``spec.runtime.gpus``. Start-up, downloads and
    waiting for GPUs come on top."""

    gpu_hours: float
    """Of all steps."""
    duration_seconds: int
    """Of all steps, one at a time."""
    cost_usd: float | None = None
    """Left out without a price."""


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """One step on ``num_gpus`` GPUs for ``seconds``."""

    step: str
    num_gpus: int
    seconds: float

    @property
    def gpu_hours(self) -> float:
        """GPUs times hours."""
        return self.num_gpus * self.seconds / 3600


def engine_layout(engine: VllmEngineSpec) -> Layout:
    """One replica's GPUs, of an engine that has some."""
    return Layout(
        tensor_parallel=engine.tensor_parallel, pipeline_parallel=engine.pipeline_parallel
    )


def teacher_workload(spec: JobSpec, amounts: Amounts) -> Workload:
    """What the teacher is asked: every split's rows in every prompt, each sample."""
    num_rows = amounts.num_train + amounts.num_validation + amounts.num_test
    num_variants = len(spec.teacher.prompts)
    return Workload(
        num_requests=num_rows * num_variants * spec.teacher.sampling.samples_per_prompt,
        prompt_tokens=amounts.prompt_tokens,
        answer_tokens=amounts.answer_tokens,
    )


def training_plan(student: StudentSpec) -> TrainingPlan:
    """How a student is trained, as sizing sees it."""
    training, method = student.training, student.method
    return TrainingPlan(
        num_workers=student.workers.replicas * max(1, student.workers.gpus),
        micro_batch_size=training.micro_batch_size,
        max_length=training.max_length,
        adapter_rank=method.rank if isinstance(method, LoraMethod) else 0,
        zero_stage=training.deepspeed_stage or 0,
        is_checkpointed=training.gradient_checkpointing,
    )


def estimate_training(
    student: StudentSpec, shape: ModelShape, amounts: Amounts, *, node: Node
) -> StepEstimate:
    """All trials of a student, one after the other on its workers."""
    plan, training = training_plan(student), student.training
    num_rows = training.epochs * amounts.num_train
    if training.max_steps is not None:
        num_rows = min(num_rows, training.max_steps * training.batch_size)
    row_tokens = min(training.max_length, amounts.prompt_tokens + amounts.answer_tokens)
    num_trials = len(student.arms) * len(student.seeds)
    seconds = seconds_of_training(
        shape, plan, node.gpu, num_tokens=num_trials * num_rows * row_tokens
    )
    return StepEstimate(
        step=train_step(student.name).id, num_gpus=plan.num_workers, seconds=seconds
    )


def estimate_evaluation(
    student: StudentSpec,
    shape: ModelShape,
    spec: JobSpec,
    amounts: Amounts,
    *,
    node: Node,
    efficiency: Efficiency,
) -> StepEstimate | None:
    """Base and every trial on the test rows; None where the engine runs on CPUs."""
    engine = spec.evaluation.engine
    if not isinstance(engine, VllmEngineSpec) or not engine.tensor_parallel:
        return None
    layout = engine_layout(engine)
    formats = EngineFormats(weights=WeightFormat.BF16)
    memory = measure_engine(
        shape, formats, node.gpu, layout, used_share=engine.gpu_memory_utilization
    )
    num_models = 1 + len(student.arms) * len(student.seeds)
    workload = Workload(
        num_requests=amounts.num_test * num_models,
        prompt_tokens=amounts.prompt_tokens,
        answer_tokens=spec.evaluation.max_tokens or EVALUATION_TOKENS,
    )
    speed = estimate_speed(
        shape,
        formats,
        layout,
        workload,
        node=node,
        memory=memory,
        efficiency=efficiency,
        max_num_seqs=engine.max_num_seqs,
    )
    return StepEstimate(
        step=evaluate_step(student.name).id,
        num_gpus=layout.num_gpus * engine.replicas,
        seconds=speed.seconds_for(workload) / engine.replicas,
    )
