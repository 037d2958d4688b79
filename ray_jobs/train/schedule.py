"""The arithmetic of a training: micro batches, optimizer steps, and the order of the rows.

The rows of optimizer step ``k`` are ``order[k * batch_size : (k + 1) * batch_size]``, whatever the
number of workers and the size of a micro batch: that, and a loss divided by the tokens of the
whole batch, is why no result depends on them but by rounding. No torch here.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distillery.errors import SpecError
from distillery.spec.student import TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How one optimizer step is cut up: ``micro_batch_size`` rows a forward pass, ``accumulation``
    passes in each worker."""

    micro_batch_size: int
    accumulation: int


def split_batch(training: TrainingSpec, *, num_workers: int) -> Batches:
    """How the workers share one batch. A micro batch larger than a worker's share is cut to it.

    Raises:
        SpecError: The batch can't be shared evenly.
    """
    share, odd = divmod(training.batch_size, num_workers)
    micro = min(training.micro_batch_size, share)
    if odd or not share or share % micro:
        raise SpecError(
            f"training.batchSize: must be workers ({num_workers}) x microBatchSize "
            f"({training.micro_batch_size}) x a whole number, got {training.batch_size}; "
            "change one of them"
        )
    return Batches(micro_batch_size=micro, accumulation=share // micro)


def count_steps(training: TrainingSpec, *, num_rows: int) -> int:
    """The optimizer steps of a trial: enough for ``epochs``, at most ``max_steps``."""
    steps = max(1, math.ceil(training.epochs * num_rows / training.batch_size))
    return min(steps, training.max_steps) if training.max_steps else steps


def build_order(
    num_rows: int, *, num_steps: int, batch_size: int, seed: int
) -> npt.NDArray[np.int64]:
    """Which row comes when: one shuffle of all rows after the other, without a gap between them.

    Returns:
        Row numbers, shape ``[num_steps * batch_size]``. No batch is short: the last one of an
        epoch is filled from the next shuffle.
    """
    rng = np.random.default_rng(seed)
    needed = num_steps * batch_size
    shuffles = [rng.permutation(num_rows) for _ in range(math.ceil(needed / num_rows))]
    return np.concatenate(shuffles)[:needed].astype(np.int64)


def count_tokens_by_step(
    order: npt.NDArray[np.int64], *, lengths: npt.NDArray[np.int64], batch_size: int
) -> npt.NDArray[np.int64]:
    """Tokens processed up to and with each optimizer step, padding not counted."""
    totals: npt.NDArray[np.int64] = lengths[order].reshape(-1, batch_size).sum(axis=1).cumsum()
    return totals
