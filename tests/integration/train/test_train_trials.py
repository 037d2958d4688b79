"""Whole train steps on a tiny model: what they leave behind, and what does not change the result."""

import json
from pathlib import Path

import pytest

from distillery.spec.student import FullMethod, LoraMethod, WorkersSpec
from distillery.tasks import Arm
from tests.integration.train.jobs import (
    losses,
    make_config,
    make_place,
    make_training,
    train,
)

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("ray_session")]

TOLERANCE = 1e-4


def test_full_trials_leave_loadable_weights_curve_and_figures(
    tmp_path: Path, student: Path
) -> None:
    from transformers import AutoModelForCausalLM

    place = make_place(tmp_path, student)
    arms = (Arm.VANILLA, Arm.CHAIN_OF_THOUGHT)
    done = train(make_config(place, arms=arms, seeds=(0, 1)))
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


def test_lora_trial_leaves_an_adapter_of_the_named_rank(tmp_path: Path, student: Path) -> None:
    place = make_place(tmp_path, student)
    done = train(make_config(place, method=LoraMethod(rank=4, alpha=8)))
    adapter = json.loads((done.weights("Vanilla 0") / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)
    assert losses(done.curves["Vanilla 0"])[-1] < losses(done.curves["Vanilla 0"])[0]


def test_batch_of_8_equals_8_accumulated_batches_of_1_and_2_workers(
    tmp_path: Path, student: Path
) -> None:
    place = make_place(tmp_path, student)
    whole = train(make_config(place, job="whole"))
    parts = train(make_config(place, job="parts", training=make_training(micro_batch_size=1)))
    two = train(
        make_config(
            place,
            job="two",
            workers=WorkersSpec(replicas=2),
            training=make_training(micro_batch_size=2),
        )
    )
    for other in (parts, two):
        assert losses(other.curves["Vanilla 0"]) == pytest.approx(
            losses(whole.curves["Vanilla 0"]), abs=TOLERANCE
        )
        assert other.trials["Vanilla 0"].validation_loss == pytest.approx(
            whole.trials["Vanilla 0"].validation_loss, abs=TOLERANCE
        )
        assert other.trials["Vanilla 0"].tokens == whole.trials["Vanilla 0"].tokens


@pytest.mark.parametrize("method", [FullMethod(), LoraMethod(rank=4)], ids=["full", "lora"])
@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_gives_the_losses_of_plain_training(
    tmp_path: Path, student: Path, method: FullMethod | LoraMethod, stage: int
) -> None:
    place = make_place(tmp_path, student)
    plain = train(make_config(place, job="plain", method=method))
    training = make_training(deepspeed_stage=stage, micro_batch_size=4)
    zero = train(
        make_config(
            place,
            job="zero",
            method=method,
            training=training,
            workers=WorkersSpec(replicas=2),
        )
    )
    assert losses(zero.curves["Vanilla 0"]) == pytest.approx(
        losses(plain.curves["Vanilla 0"]), abs=1e-3
    )


def test_finished_trials_are_skipped_when_a_seed_is_added(tmp_path: Path, student: Path) -> None:
    place = make_place(tmp_path, student)
    first = train(make_config(place, seeds=(0,)))
    second = train(make_config(place, seeds=(0, 1)))
    assert second.summary["numSkipped"] == 1
    assert second.trials["Vanilla 0"] == first.trials["Vanilla 0"]
    assert list(second.trials) == ["Vanilla 0", "Vanilla 1"]


def test_no_validation_rows_keeps_the_last_step(tmp_path: Path, student: Path) -> None:
    place = make_place(tmp_path, student, num_validation=0)
    done = train(make_config(place))
    assert done.trials["Vanilla 0"].best_step == 6
    assert done.trials["Vanilla 0"].validation_loss is None
