"""Listens to the trainer: writes the loss curve, marks whole checkpoints, posts progress.

The curve is kept in memory and copied into every checkpoint, so that a resumed trial goes on with
exactly the points up to its checkpoint: no line twice, none missing.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback

from distillery.errors import SpecError
from distillery.trials import CurvePoint
from ray_jobs.train.checkpoints import CURVE_COPY, checkpoint_folder, mark_complete


class Recorder(TrainerCallback):  # type: ignore[misc]
    """One trial's curve.

    Args:
        tokens_by_step: Tokens processed up to and with each step.
        on_step: Told every step's point, in the first worker only.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        tokens_by_step: Any,
        on_step: Callable[[CurvePoint], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.points: list[CurvePoint] = []
        self._tokens_by_step = tokens_by_step
        self._on_step = on_step
        self._clock = clock
        self._seconds = 0.0
        self._mark = 0.0

    def load(self, checkpoint: Path) -> None:
        """Goes on from the curve in a checkpoint."""
        self.points = read_curve(checkpoint / CURVE_COPY)
        self._seconds = self.points[-1].seconds

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the clock."""
        del args, state, control
        self._mark = self._clock()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Adds the step's point; validation logs and the summary at the end are other calls."""
        del args, control
        if "loss" not in logs:
            return
        now = self._clock()
        self._seconds += now - self._mark
        self._mark = now
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise SpecError(
                f"training.learningRate: the loss must stay a number, got {loss} at step "
                f"{state.global_step}; lower learningRate or add warmupSteps",
                reason="TrainingDiverged",
            )
        point = CurvePoint(
            step=state.global_step,
            loss=loss,
            learning_rate=logs["learning_rate"],
            grad_norm=float(logs.get("grad_norm", math.nan)),
            tokens=int(self._tokens_by_step[state.global_step - 1]),
            seconds=round(self._seconds, 4),
        )
        self.points.append(point)
        if state.is_world_process_zero:
            self._on_step(point)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any
    ) -> None:
        """Puts the validation loss to the step's point. The time it took is not training's."""
        del args, state, control
        last = self.points[-1]
        self.points[-1] = last.model_copy(update={"validation_loss": metrics["eval_loss"]})
        self._mark = self._clock()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Marks the checkpoint once every worker has written its part."""
        del control
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.barrier()
        if state.is_world_process_zero:
            folder = checkpoint_folder(Path(args.output_dir), step=state.global_step)
            write_curve(folder / CURVE_COPY, self.points)
            mark_complete(folder, step=state.global_step, num_workers=args.world_size)
        self._mark = self._clock()


def write_curve(path: Path, points: list[CurvePoint]) -> None:
    """Writes one JSON line a point."""
    lines = [point.model_dump_json(by_alias=False, exclude_none=True) for point in points]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_curve(path: Path) -> list[CurvePoint]:
    """The points of a file that ``write_curve`` wrote."""
    lines = path.read_text("utf-8").splitlines()
    return [CurvePoint.model_validate_json(line) for line in lines]
