"""What the planner asks for. Each action is safe to repeat after a crash between any two lines."""

from dataclasses import dataclass

from controller.plan.snapshot import Attempt
from distillery.stage_configs import StageConfig
from distillery.status import JobStatus
from distillery.steps import Step


@dataclass(frozen=True, kw_only=True)
class StartStep:
    """Launch attempt ``number`` of ``step`` with ``config``."""

    step: Step
    number: int
    config: StageConfig


@dataclass(frozen=True, kw_only=True)
class AdoptStep:
    """Take over an attempt that outlived the run which began it."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True)
class StopStep:
    """Stop an attempt; it stays live until Ray says that it has ended."""

    attempt: Attempt
    why: str


Action = StartStep | AdoptStep | StopStep


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``requeue_after_s``: look again then at the latest, whatever happens; None once the run has
    ended, successfully or not."""

    actions: tuple[Action, ...]
    status: JobStatus
    requeue_after_s: float | None
