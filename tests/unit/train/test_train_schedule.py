"""Batches, steps and the order of rows."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import SpecError
from distillery.spec.student import TrainingSpec
from ray_jobs.train.schedule import (
    Batches,
    build_order,
    count_steps,
    count_tokens_by_step,
    split_batch,
)


@pytest.mark.parametrize(
    ("batch", "micro", "workers", "want"),
    [
        (32, 8, 1, Batches(micro_batch_size=8, accumulation=4)),
        (32, 8, 2, Batches(micro_batch_size=8, accumulation=2)),
        (8, 8, 2, Batches(micro_batch_size=4, accumulation=1)),
        (8, 1, 1, Batches(micro_batch_size=1, accumulation=8)),
    ],
)
def test_a_batch_is_shared_by_workers_and_passes(
    batch: int, micro: int, workers: int, want: Batches
) -> None:
    training = TrainingSpec(batch_size=batch, micro_batch_size=micro)
    assert split_batch(training, num_workers=workers) == want


@pytest.mark.parametrize(("batch", "micro", "workers"), [(32, 8, 3), (20, 8, 1), (1, 1, 2)])
def test_a_batch_that_cannot_be_shared_is_refused(batch: int, micro: int, workers: int) -> None:
    want = (
        f"training.batchSize: must be workers ({workers}) x microBatchSize ({micro}) x a whole "
        f"number, got {batch}; change one of them"
    )
    with pytest.raises(SpecError, match=f"^{re.escape(want)}$"):
        split_batch(TrainingSpec(batch_size=batch, micro_batch_size=micro), num_workers=workers)


@pytest.mark.parametrize(
    ("epochs", "max_steps", "want"), [(1, None, 4), (0.1, None, 1), (3, None, 10), (3, 5, 5)]
)
def test_steps_cover_the_epochs_up_to_max_steps(
    epochs: float, max_steps: int | None, want: int
) -> None:
    training = TrainingSpec(epochs=epochs, max_steps=max_steps, batch_size=32)
    assert count_steps(training, num_rows=100) == want


@given(num_rows=st.integers(1, 50), num_steps=st.integers(1, 20), batch=st.integers(1, 16))
def test_every_row_comes_once_before_any_comes_again(
    num_rows: int, num_steps: int, batch: int
) -> None:
    order = build_order(num_rows, num_steps=num_steps, batch_size=batch, seed=3)
    assert len(order) == num_steps * batch
    for start in range(0, len(order), num_rows):
        epoch = order[start : start + num_rows]
        assert len(set(epoch.tolist())) == len(epoch)


def test_the_seed_decides_the_order() -> None:
    orders = [build_order(20, num_steps=5, batch_size=4, seed=seed).tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_a_longer_training_begins_like_a_shorter_one() -> None:
    short = build_order(7, num_steps=2, batch_size=4, seed=0)
    assert (
        build_order(7, num_steps=9, batch_size=4, seed=0)[: len(short)].tolist() == short.tolist()
    )


def test_tokens_are_counted_step_by_step_without_padding() -> None:
    tokens = count_tokens_by_step(
        np.array([0, 1, 1, 2]), lengths=np.array([5, 7, 11]), batch_size=2
    )
    assert tokens.tolist() == [12, 30]
