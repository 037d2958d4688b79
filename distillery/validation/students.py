"""Rules of ``spec.students`` and ``spec.evaluation``."""

from collections.abc import Iterable

from distillery.errors import Problem
from distillery.spec.engine import VllmEngineSpec
from distillery.spec.job import JobSpec
from distillery.spec.student import Scheduler, StudentSpec
from distillery.tasks import Arm, TargetKind, TaskName
from distillery.validation.data import model_uri_problem


def find_student_problems(spec: JobSpec) -> list[Problem]:
    """What is wrong with students and their evaluation."""
    problems = []
    seen: set[str] = set()
    for index, student in enumerate(spec.students):
        path = f"spec.students[{index}]"
        if student.name in seen:
            message = f"is another student's name already, got {student.name}; rename one"
            problems.append(Problem(path=f"{path}.name", message=message))
        seen.add(student.name)
        problems += [
            *model_uri_problem(f"{path}.model", student.model.uri, student.model.revision),
            *_arm_problems(path, student, spec),
            *_training_problems(f"{path}.training", student),
        ]
    return [*problems, *_engine_problems(spec), *_promotion_problems(spec)]


def _repeated(values: Iterable[object]) -> bool:
    listed = list(values)
    return len(set(listed)) < len(listed)


def _arm_problems(path: str, student: StudentSpec, spec: JobSpec) -> list[Problem]:
    problems = [
        Problem(path=f"{path}.arms", message=message)
        for arm in dict.fromkeys(student.arms)
        if (message := _arm_fault(arm, student, spec))
    ]
    if _repeated(student.arms):
        got = ", ".join(student.arms)
        problems.append(Problem(path=f"{path}.arms", message=f"names an arm twice, got {got}"))
    if _repeated(student.seeds):
        got = ", ".join(str(seed) for seed in student.seeds)
        problems.append(Problem(path=f"{path}.seeds", message=f"names a seed twice, got {got}"))
    return problems


def _arm_fault(arm: Arm, student: StudentSpec, spec: JobSpec) -> str:
    if arm == Arm.BASE:
        return "Base is the untrained student and always evaluated, got Base; remove it"
    if arm == Arm.GOLD:
        return _gold_fault(student, spec)
    if arm.variant not in spec.facts.variants:
        accepted = ", ".join([*spec.facts.variants, Arm.GOLD])
        return f"{spec.task} has no such arm, got {arm}; accepted are {accepted}"
    if arm.variant not in spec.teacher.prompts:
        return f"the teacher is not asked that way, got {arm}; add it to spec.teacher.prompts"
    return ""


def _gold_fault(student: StudentSpec, spec: JobSpec) -> str:
    if student.target == TargetKind.REASON_THEN_ANSWER:
        return (
            "ground truth has no reasoning to train on, got Gold with ReasonThenAnswer; remove it"
        )
    if spec.task == TaskName.CONVERSATION:
        return "CONVERSATION has no ground truth to train on, got Gold; remove it"
    without = [
        name for name in ("train", "validation") if not getattr(spec.dataset, name).fields.gold
    ]
    if without:
        places = " and ".join(f"spec.dataset.{name}.fields.gold" for name in without)
        return f"needs ground truth, got Gold without it; set {places}, or remove Gold"
    return ""


def _training_problems(path: str, student: StudentSpec) -> list[Problem]:
    training, workers = student.training, student.workers.replicas
    problems = []
    per_worker, odd = divmod(training.batch_size, workers)
    micro = training.micro_batch_size
    if odd or (per_worker > micro and per_worker % micro):
        message = (
            f"must be workers ({workers}) x microBatchSize ({micro}) x a whole number, "
            f"got {training.batch_size}; change one of them"
        )
        problems.append(Problem(path=f"{path}.batchSize", message=message))
    if training.max_steps is not None and training.warmup_steps >= training.max_steps:
        message = f"must be below maxSteps ({training.max_steps}), got {training.warmup_steps}"
        problems.append(Problem(path=f"{path}.warmupSteps", message=message))
    if training.min_learning_rate_ratio > 0 and training.scheduler != Scheduler.COSINE:
        message = f"is for the cosine scheduler only, got {training.scheduler}; remove it"
        problems.append(Problem(path=f"{path}.minLearningRateRatio", message=message))
    return problems


def _engine_problems(spec: JobSpec) -> list[Problem]:
    """What an engine has for the teacher and evaluation doesn't use."""
    engine, path = spec.evaluation.engine, "spec.evaluation.engine"
    problems = []
    if engine.replicas > 1:
        message = f"must be 1, evaluation runs one engine a model, got {engine.replicas}; remove it"
        problems.append(Problem(path=f"{path}.replicas", message=message))
    if isinstance(engine, VllmEngineSpec) and engine.pipeline_parallel > 1:
        message = f"must be 1, students are evaluated within a node, got {engine.pipeline_parallel}"
        problems.append(Problem(path=f"{path}.pipelineParallel", message=f"{message}; remove it"))
    if isinstance(engine, VllmEngineSpec) and engine.structured_outputs:
        message = "is for the teacher: students are judged by what they say, got true; remove it"
        problems.append(Problem(path=f"{path}.structuredOutputs", message=message))
    return problems


def _promotion_problems(spec: JobSpec) -> list[Problem]:
    rule = spec.evaluation.promote_if
    if rule is None:
        return []
    problems = []
    for name, arm in (("arm", rule.arm), ("beats", rule.beats)):
        lacking = [s.name for s in spec.students if arm not in (*s.arms, Arm.BASE)]
        if lacking:
            message = (
                f"student {lacking[0]} has no such arm, got {arm}; use an arm all students have"
            )
            problems.append(Problem(path=f"spec.evaluation.promoteIf.{name}", message=message))
    if rule.arm in (rule.beats, Arm.BASE):
        message = f"must be a trained arm other than beats ({rule.beats}), got {rule.arm}"
        problems.append(Problem(path="spec.evaluation.promoteIf.arm", message=message))
    return problems
