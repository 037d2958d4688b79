"""Whole train steps on a tiny model: what they leave behind, and what does not change the result."""

import json
from pathlib import Path

import pytest

from distillery.spec.student import FullMethod, LoraMethod, WorkersSpec
from distillery.tasks import Arm
from tests.integration.train.jobs import (
    Outcome,
    Place,
    losses,
    make_config,
    make_place,
    make_training,
    train,
)

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("ray_session")]

TOLERANCE = 1e-4
ARMS = (Arm.VANILLA, Arm.CHAIN_OF_THOUGHT)
LORA = LoraMethod(rank=4, alpha=8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, student: Path) -> Place:
    """Shared: each run is a job of its own name."""
    return make_place(tmp_path_factory.mktemp("place"), student)


@pytest.fixture(scope="module")
def full(place: Place) -> Outcome:
    """Two arms, two seeds, all weights, one worker, one batch a step."""
    return train(make_config(place, arms=ARMS, seeds=(0, 1)))


@pytest.fixture(scope="module")
def unvalidated(tmp_path_factory: pytest.TempPathFactory, student: Path) -> Place:
    """As ``place``, without validation rows."""
    return make_place(tmp_path_factory.mktemp("unvalidated"), student, num_validation=0)


@pytest.fixture(scope="module")
def lora(unvalidated: Place) -> Outcome:
    """One trial of an adapter, otherwise as ``full``."""
    return train(make_config(unvalidated, job="lora", method=LORA))


def test_full_trials_leave_loadable_weights_curve_and_figures(place: Place, full: Outcome) -> None:
    from transformers import AutoModelForCausalLM

    done = full
    assert list(done.trials) == ["Vanilla 0", "Vanilla 1", "ChainOfThought 0", "ChainOfThought 1"]
    for label, trial in done.trials.items():
        curve = done.curves[label]
        assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6]
        measured = {p.step: p.validation_loss for p in curve if p.validation_loss is not None}
        assert list(measured) == [2, 4, 6]
        assert trial.validation_loss == min(measured.values()) == measured[trial.best_step]
        assert curve[-1].tokens == trial.tokens > 0
        AutoModelForCausalLM.from_pretrained(done.weights(label))
        assert (done.weights(label) / "tokenizer.json").exists()
        summary = done.manifests[label].summary
        assert summary["templateHash"] == place.pin.template_hash
        assert summary["preflight"]["numRows"] == 30
    firsts = {losses(curve)[-1] for curve in done.curves.values()}
    assert len(firsts) == 4, "arms and seeds differ"


def test_lora_trial_leaves_an_adapter_of_the_named_rank(lora: Outcome) -> None:
    adapter = json.loads((lora.weights("Vanilla 0") / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)
    assert losses(lora.curves["Vanilla 0"])[-1] < losses(lora.curves["Vanilla 0"])[0]


def test_2_workers_that_accumulate_2_batches_of_2_equal_1_with_a_batch_of_8(
    place: Place, full: Outcome
) -> None:
    split = train(
        make_config(
            place,
            job="split",
            workers=WorkersSpec(replicas=2),
            training=make_training(micro_batch_size=2),
        )
    )
    assert losses(split.curves["Vanilla 0"]) == pytest.approx(
        losses(full.curves["Vanilla 0"]), abs=TOLERANCE
    )
    got, want = split.trials["Vanilla 0"], full.trials["Vanilla 0"]
    assert got.validation_loss == pytest.approx(want.validation_loss, abs=TOLERANCE)
    assert got.tokens == want.tokens


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_gives_the_losses_of_plain_training(
    request: pytest.FixtureRequest, stage: int
) -> None:
    # ZeRO-3 is for models that fit no GPU: adapters are what people train of them.
    plain: Outcome = request.getfixturevalue("lora" if stage == 3 else "full")
    zero = train(
        make_config(
            request.getfixturevalue("unvalidated" if stage == 3 else "place"),
            job=f"zero-{stage}",
            method=LORA if stage == 3 else FullMethod(),
            training=make_training(deepspeed_stage=stage, micro_batch_size=4),
            workers=WorkersSpec(replicas=2),
        )
    )
    assert losses(zero.curves["Vanilla 0"]) == pytest.approx(
        losses(plain.curves["Vanilla 0"]), abs=1e-3
    )


def test_finished_trials_are_skipped_when_a_seed_is_added(place: Place, full: Outcome) -> None:
    more = train(make_config(place, seeds=(0, 1, 2)))
    assert more.summary["numSkipped"] == 2
    assert more.trials["Vanilla 0"] == full.trials["Vanilla 0"]
    assert list(more.trials) == ["Vanilla 0", "Vanilla 1", "Vanilla 2"]


def test_no_validation_rows_keeps_the_last_step(lora: Outcome) -> None:
    assert lora.trials["Vanilla 0"].best_step == 6
    assert lora.trials["Vanilla 0"].validation_loss is None
