"""A job's plan as a document: layouts, speeds, hours and price, with what they rest on. Pure.

``distillery plan`` prints it, prepare takes the job's estimate from it; both find out what is known
of the models, and the amounts, for themselves.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from distillery.sizing.efficiencies import Efficiency
from distillery.sizing.engine_memory import EngineFormats
from distillery.sizing.estimates import (
    Amounts,
    Estimate,
    StepEstimate,
    engine_layout,
    estimate_evaluation,
    estimate_training,
    teacher_workload,
    training_plan,
)
from distillery.sizing.gpus import GIB, GPUS
from distillery.sizing.known import KnownModel, Knows
from distillery.sizing.layouts import JudgedLayout, judge_layout, rank_layouts
from distillery.sizing.shapes import ModelShape
from distillery.sizing.throughput import Node, Speed
from distillery.sizing.training import fits_training, measure_training
from distillery.spec.engine import VllmEngineSpec
from distillery.spec.gpus import GpusSpec
from distillery.spec.job import JobSpec
from distillery.spec.model import Model
from distillery.spec.student import StudentSpec
from distillery.steps import GENERATE

NOT_CALIBRATED = "not calibrated"
"""Said of speeds of models whose kind was not compared with published figures."""


class LayoutPlan(Model):
    """One layout of a teacher's replica."""

    tensor_parallel: int
    pipeline_parallel: int
    num_gpus: int
    fits: bool
    problem: str = ""
    """Why it doesn't fit."""
    kv_tokens: int = 0
    """Tokens that the KV cache holds, of all sequences together."""
    num_in_flight: int = 0
    """Sequences answered at once."""
    output_tokens_per_second: float = 0
    """Of one replica, in the steady state."""


class TeacherPlan(Model):
    """The teacher on such GPUs."""

    model: str
    weights: str
    weight_gib: float
    kv_cache: str
    efficiency: str
    """The set of efficiencies: engine and year."""
    is_calibrated: bool
    """Whether speeds of such models were compared with published ones."""
    replicas: int = 1
    chosen: LayoutPlan | None = None
    """The job's own layout; none where the job answers on CPUs."""
    layouts: tuple[LayoutPlan, ...] = ()
    """All layouts worth a thought, the fastest for each GPU first."""


class StudentPlan(Model):
    """One student's training on such GPUs."""

    name: str
    fits: bool
    gpu_gib: float
    """What each GPU needs."""
    adapters: bool
    """Whether adapters alone are trained."""


class StepPlan(Model):
    """One step."""

    step: str
    num_gpus: int
    seconds: float
    gpu_hours: float
    cost_usd: float | None = None
    """None without a price."""


class Assumed(Model):
    """What the hours rest on."""

    train_rows: int
    validation_rows: int
    test_rows: int
    prompt_tokens: float
    """Mean of a prompt."""
    answer_tokens: float
    """Mean of an answer."""


class JobPlan(Model):
    """All of it. Start-up, downloads and waiting for GPUs come on top of the hours."""

    gpu: str
    gpus_per_node: int
    assumed: Assumed
    teacher: TeacherPlan
    students: tuple[StudentPlan, ...] = ()
    steps: tuple[StepPlan, ...] = ()
    """Those on GPUs; none where the teacher doesn't fit."""
    gpu_hours: float = 0
    duration_seconds: float = 0
    cost_usd: float | None = None
    """None without a price."""
    problems: tuple[str, ...] = Field(default=())
    """Why the job would be refused as it is."""

    @property
    def estimate(self) -> Estimate:
        """Its end."""
        return Estimate(
            gpu_hours=round(self.gpu_hours, 2),
            duration_seconds=round(self.duration_seconds),
            cost_usd=None if self.cost_usd is None else round(self.cost_usd, 2),
        )


def plan_job(
    spec: JobSpec,
    gpus: GpusSpec,
    *,
    teacher: KnownModel,
    knows: Knows,
    amounts: Amounts,
    efficiency: Efficiency,
    problems: Sequence[str] = (),
) -> JobPlan:
    """The plan of ``spec`` on ``gpus``.

    Args:
        knows: Of the students' models; those not known are left out.
        problems: What validation has against the job.
    """
    node = Node(gpu=GPUS[gpus.kind], gpus_per_node=gpus.per_node)
    students = {
        student.name: known.shape
        for student in spec.students
        if (known := knows(student.model.uri)) is not None
    }
    teacher_plan, speed = _plan_teacher(spec, teacher, amounts, node=node, efficiency=efficiency)
    is_refused = teacher_plan.chosen is not None and speed is None
    steps = (
        []
        if is_refused
        else _steps(spec, speed, students, amounts, node=node, efficiency=efficiency)
    )
    gpu_hours = sum(step.gpu_hours for step in steps)
    return JobPlan(
        gpu=gpus.kind,
        gpus_per_node=gpus.per_node,
        assumed=Assumed(
            train_rows=amounts.num_train,
            validation_rows=amounts.num_validation,
            test_rows=amounts.num_test,
            prompt_tokens=amounts.prompt_tokens,
            answer_tokens=amounts.answer_tokens,
        ),
        teacher=teacher_plan,
        students=tuple(
            _plan_student(student, students[student.name], node)
            for student in spec.students
            if student.name in students and student.workers.gpus
        ),
        steps=tuple(
            StepPlan(
                step=each.step,
                num_gpus=each.num_gpus,
                seconds=each.seconds,
                gpu_hours=each.gpu_hours,
                cost_usd=_cost(each.gpu_hours, gpus),
            )
            for each in steps
        ),
        gpu_hours=gpu_hours,
        duration_seconds=sum(step.seconds for step in steps),
        cost_usd=_cost(gpu_hours, gpus),
        problems=tuple(problems),
    )


def _cost(gpu_hours: float, gpus: GpusSpec) -> float | None:
    return None if gpus.usd_per_hour is None else gpu_hours * gpus.usd_per_hour


def _plan_teacher(
    spec: JobSpec,
    teacher: KnownModel,
    amounts: Amounts,
    *,
    node: Node,
    efficiency: Efficiency,
) -> tuple[TeacherPlan, Speed | None]:
    """The teacher's plan, and the speed of a replica as the job has it."""
    workload = teacher_workload(spec, amounts)
    shape, engine = teacher.shape, spec.teacher.engine
    formats = EngineFormats(weights=teacher.weights)
    ranked = rank_layouts(shape, formats, workload, node=node, efficiency=efficiency)
    chosen = None
    if isinstance(engine, VllmEngineSpec) and engine.tensor_parallel:
        chosen = judge_layout(
            shape,
            formats,
            engine_layout(engine),
            workload,
            node=node,
            efficiency=efficiency,
            used_share=engine.gpu_memory_utilization,
            max_num_seqs=engine.max_num_seqs,
        )
    speeds = [each.speed for each in ranked if each.speed]
    plan = TeacherPlan(
        model=shape.name,
        weights=formats.weights,
        weight_gib=teacher.weight_bytes / GIB,
        kv_cache=formats.kv,
        efficiency=efficiency.name,
        is_calibrated=bool(speeds) and speeds[0].is_calibrated,
        replicas=engine.replicas,
        chosen=_plan_layout(chosen) if chosen else None,
        layouts=tuple(_plan_layout(each) for each in ranked),
    )
    return plan, chosen.speed if chosen else None


def _plan_layout(judged: JudgedLayout) -> LayoutPlan:
    layout, speed = judged.layout, judged.speed
    return LayoutPlan(
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        num_gpus=layout.num_gpus,
        fits=speed is not None,
        problem=judged.problem,
        kv_tokens=judged.kv_tokens,
        num_in_flight=speed.num_in_flight if speed else 0,
        output_tokens_per_second=speed.output_tokens_per_s if speed else 0,
    )


def _plan_student(student: StudentSpec, shape: ModelShape, node: Node) -> StudentPlan:
    plan = training_plan(student)
    memory = measure_training(shape, plan)
    return StudentPlan(
        name=student.name,
        fits=fits_training(memory, node.gpu),
        gpu_gib=memory.total / GIB,
        adapters=plan.adapter_rank > 0,
    )


def _steps(
    spec: JobSpec,
    speed: Speed | None,
    students: Mapping[str, ModelShape],
    amounts: Amounts,
    *,
    node: Node,
    efficiency: Efficiency,
) -> list[StepEstimate]:
    """The steps that run on GPUs, as far as their models are known."""
    steps = []
    engine = spec.teacher.engine
    if speed is not None and isinstance(engine, VllmEngineSpec):
        steps.append(
            StepEstimate(
                step=GENERATE.id,
                num_gpus=engine.replicas * engine_layout(engine).num_gpus,
                seconds=speed.seconds_for(teacher_workload(spec, amounts)) / engine.replicas,
            )
        )
    for student in spec.students:
        shape = students.get(student.name)
        if shape is None:
            continue
        if student.workers.gpus:
            steps.append(estimate_training(student, shape, amounts, node=node))
        evaluation = estimate_evaluation(
            student, shape, spec, amounts, node=node, efficiency=efficiency
        )
        if evaluation is not None:
            steps.append(evaluation)
    return steps
