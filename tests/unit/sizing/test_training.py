"""Memory and time of training: naive forms, and what settings save."""

import pytest

from distillery.sizing.gpus import GIB, GPUS
from distillery.sizing.shape_table import SHAPES
from distillery.sizing.training import (
    COMPUTE_SHARE,
    OVERHEAD_GIB,
    TrainingPlan,
    adapter_weights,
    fits_training,
    measure_training,
    seconds_of_training,
)
from distillery.spec.gpus import GpuKind

_8B = SHAPES["llama-3.1-8b"]
H100 = GPUS[GpuKind.H100_80]


def make_plan(**changes: object) -> TrainingPlan:
    settings = {"num_workers": 8, "micro_batch_size": 1, "max_length": 2048, **changes}
    return TrainingPlan(**settings)  # type: ignore[arg-type]


def test_plain_data_parallelism_holds_sixteen_bytes_a_weight() -> None:
    memory = measure_training(_8B, make_plan())
    assert memory.weights + memory.gradients + memory.optimizer == 16 * _8B.num_weights
    held = memory.weights + memory.gradients + memory.optimizer + memory.activations
    assert memory.total == held + OVERHEAD_GIB * GIB


@pytest.mark.parametrize(
    ("stage", "want_bytes_per_weight"),
    [(0, 16), (1, 4 + 4 + 8 / 8), (2, 4 + 4 / 8 + 8 / 8), (3, 16 / 8)],
)
def test_zero_shares_optimizer_gradients_and_weights_in_turn(
    stage: int, want_bytes_per_weight: float
) -> None:
    memory = measure_training(_8B, make_plan(zero_stage=stage))
    held = memory.weights + memory.gradients + memory.optimizer
    assert held / _8B.num_weights == pytest.approx(want_bytes_per_weight)


def test_adapters_have_gradients_and_optimizer_state_for_themselves_alone() -> None:
    memory = measure_training(_8B, make_plan(adapter_rank=8))
    trained = adapter_weights(_8B, 8)
    assert memory.gradients == 4 * trained
    assert memory.optimizer == 8 * trained
    assert memory.weights == 4 * (_8B.num_weights + trained)


def test_adapters_of_8b_have_as_many_weights_as_peft_says() -> None:
    # PEFT, rank 8 on all linear layers of Llama-3.1-8B: 20,971,520 trainable parameters.
    assert adapter_weights(_8B, 8) == 20_971_520


def test_checkpointing_holds_less_and_takes_longer() -> None:
    plain, checkpointed = make_plan(), make_plan(is_checkpointed=True)
    assert (
        measure_training(_8B, checkpointed).activations
        < measure_training(_8B, plain).activations / 4
    )
    times = [seconds_of_training(_8B, plan, H100, num_tokens=1e6) for plan in (plain, checkpointed)]
    assert times[1] / times[0] == pytest.approx(8 / 6)


def test_time_is_operations_over_what_the_gpus_reach() -> None:
    num_weights = _8B.active_linear_weights + _8B.embedding_weights
    want = 1e9 * 6 * num_weights / (8 * 989.4e12 * COMPUTE_SHARE)
    assert seconds_of_training(_8B, make_plan(), H100, num_tokens=1e9) == pytest.approx(want)
    lora = seconds_of_training(_8B, make_plan(adapter_rank=8), H100, num_tokens=1e9)
    assert lora == pytest.approx(want * 4 / 6)


def test_full_training_of_8b_needs_more_than_one_h100_and_fits_eight_that_share() -> None:
    alone = make_plan(num_workers=1, is_checkpointed=True)
    shared = make_plan(zero_stage=3, is_checkpointed=True)
    assert not fits_training(measure_training(_8B, alone), H100)
    assert fits_training(measure_training(_8B, shared), H100)
