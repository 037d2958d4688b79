"""Training rows as flat token arrays, made once by the driver and shared by all workers.

Rendering is ``ray_jobs.rendering``'s. No torch here: the driver never loads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_jobs.records import TargetRow
from ray_jobs.rendering import Renderer, TrainingExample

RENDER_CHUNK = 1024
"""Conversations tokenised in one call: bounds the memory of their texts."""


@dataclass(frozen=True, kw_only=True)
class ExampleSet:
    """Examples end to end: example ``i`` is ``ids[starts[i]:starts[i + 1]]``, and ``mask`` is 1
    where the token at that place bears loss."""

    ids: npt.NDArray[np.int32]
    mask: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each example."""
        return np.diff(self.starts)


@dataclass(frozen=True, kw_only=True)
class ArmExamples:
    """What the trials of one arm learn from, and what chooses their best step (may be empty)."""

    train: ExampleSet
    validation: ExampleSet


def render_rows(rows: Sequence[TargetRow], renderer: Renderer) -> list[TrainingExample]:
    """An example of each row, in order. Raises as ``Renderer.training_examples``."""
    examples: list[TrainingExample] = []
    for start in range(0, len(rows), RENDER_CHUNK):
        chunk = rows[start : start + RENDER_CHUNK]
        examples += renderer.training_examples([row.messages for row in chunk])
    return examples


def join_examples(examples: Sequence[TrainingExample]) -> ExampleSet:
    """The examples as one set of arrays."""
    lengths = [len(example.ids) for example in examples]
    return ExampleSet(
        ids=np.fromiter((i for e in examples for i in e.ids), np.int32, count=sum(lengths)),
        mask=np.fromiter((m for e in examples for m in e.mask), np.uint8, count=sum(lengths)),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )
