"""What the driver asks of the training workers, and what a worker knows after a trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.stage_configs import TrainConfig
from distillery.tasks import Arm
from distillery.trials import CurvePoint
from ray_jobs.train.preflight import Preflight
from ray_jobs.train.schedule import Batches


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """One trial to train. ``steps_before`` are those of the trials trained before it in this
    attempt."""

    arm: Arm
    seed: int
    hash: str
    prefix: str
    folder: Path
    num_steps: int
    preflight: Preflight
    steps_before: int = 0

    @property
    def label(self) -> str:
        """How a person names the trial."""
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """What every worker gets. ``examples`` maps arms to Ray object references of ``ArmExamples``;
    ``started_at`` is when the driver asked for workers (epoch seconds)."""

    config: TrainConfig
    tasks: tuple[TrialTask, ...]
    batches: Batches
    examples: Mapping[Arm, Any]
    board: Any
    template_hash: str
    started_at: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trial after its last step. ``startup_s``: before the first step, loading included."""

    best_step: int
    validation_loss: float | None
    points: list[CurvePoint]
    startup_s: float
    resumed_from: int
