"""The steps of a job and their order.

A *step* is one launch. ``train`` and ``evaluate`` are one step per student, every other stage is
one step. What each step is sent is ``stage_configs.py``.
"""

from dataclasses import dataclass
from enum import StrEnum

from distillery.spec.job import JobSpec


class Stage(StrEnum):
    """The kinds of step, in the order they run."""

    PREPARE = "prepare"
    GENERATE = "generate"
    CURATE = "curate"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PUBLISH = "publish"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One launch: a stage, and the student it is for (empty: the whole job)."""

    stage: Stage
    student: str = ""

    @property
    def id(self) -> str:
        """The step's name in storage, logs and status, such as ``train-llama-8b``."""
        return f"{self.stage}-{self.student}" if self.student else self.stage.value


PREPARE = Step(stage=Stage.PREPARE)
GENERATE = Step(stage=Stage.GENERATE)
CURATE = Step(stage=Stage.CURATE)
PUBLISH = Step(stage=Stage.PUBLISH)


def train_step(student: str) -> Step:
    """The training step of ``student``."""
    return Step(stage=Stage.TRAIN, student=student)


def evaluate_step(student: str) -> Step:
    """The evaluation step of ``student``."""
    return Step(stage=Stage.EVALUATE, student=student)


def steps_of(spec: JobSpec) -> tuple[Step, ...]:
    """All steps of the job, every step after those it needs."""
    names = [student.name for student in spec.students]
    return (
        PREPARE,
        GENERATE,
        CURATE,
        *(train_step(name) for name in names),
        *(evaluate_step(name) for name in names),
        PUBLISH,
    )


def upstream_of(step: Step, spec: JobSpec) -> tuple[Step, ...]:
    """The steps whose manifests ``step`` reads. ``publish`` names all students here; which of them
    it must wait for after a failure is the planner's business."""
    match step.stage:
        case Stage.PREPARE:
            return ()
        case Stage.GENERATE:
            return (PREPARE,)
        case Stage.CURATE:
            return (PREPARE, GENERATE)
        case Stage.TRAIN:
            return (CURATE,)
        case Stage.EVALUATE:
            return (PREPARE, GENERATE, CURATE, train_step(step.student))
        case Stage.PUBLISH:
            return tuple(other for other in steps_of(spec) if other != PUBLISH)
