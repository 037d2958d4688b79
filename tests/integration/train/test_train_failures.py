"""Killed, diverging and impossible trainings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from distillery.errors import ResourceError, SpecError
from distillery.spec.student import LoraMethod
from distillery.stage_configs import TrainConfig
from ray_jobs.train.failures import leaving_worker
from ray_jobs.train.stage import trial_folder
from tests.integration.train.jobs import (
    losses,
    make_config,
    make_place,
    make_training,
    read_step,
    train,
)
from tests.processes import REPOSITORY, kill_tree, wait_for

pytestmark = pytest.mark.heavy


def start_step(config: TrainConfig, folder: Path) -> subprocess.Popen[bytes]:
    """The step as a process of its own, with a Ray cluster of its own."""
    path = folder / "config.json"
    path.write_text(config.model_dump_json(by_alias=True, exclude_none=True))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_USAGE_STATS_ENABLED": "0"}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ray_jobs.train", "--config", str(path)],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )


@pytest.mark.usefixtures("ray_session")
def test_killed_training_goes_on_without_a_break_in_the_curve(
    tmp_path: Path, student: Path
) -> None:
    place = make_place(tmp_path, student, num_train=70)
    training = make_training(
        epochs=30, max_steps=60, batch_size=16, eval_steps=10, learning_rate=3e-3
    )
    method = LoraMethod(rank=4, dropout=0.1)
    config = make_config(place, method=method, training=training)
    folder = trial_folder(config, _only_hash(config))
    process = start_step(config, tmp_path)
    wait_for(process, lambda: any(folder.glob("checkpoint-*/complete.json")))
    kill_tree(process.pid)
    process.wait()
    assert not (Path(place.root) / "storage" / config.context.prefix).exists()

    assert start_step(config, tmp_path).wait() == 0, (tmp_path / "log.txt").read_text()[-3000:]
    joined = read_step(config)
    unbroken_config = make_config(
        place, method=method, training=training, job="unbroken", scratch="other"
    )
    unbroken = train(unbroken_config)

    summary = joined.manifests["Vanilla 0"].summary
    assert 0 < summary["resumedFromStep"] < 60
    curve, want = joined.curves["Vanilla 0"], unbroken.curves["Vanilla 0"]
    assert [point.step for point in curve] == list(range(1, 61))
    assert losses(curve) == pytest.approx(losses(want), abs=1e-4)
    assert [p.validation_loss for p in curve] == pytest.approx(
        [p.validation_loss for p in want], abs=1e-4
    )
    assert [p.tokens for p in curve] == [p.tokens for p in want]
    assert joined.trials["Vanilla 0"].best_step == unbroken.trials["Vanilla 0"].best_step
    assert not folder.exists(), "checkpoints go when the trial is committed"


@pytest.mark.usefixtures("ray_session")
def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path, student: Path) -> None:
    place = make_place(tmp_path, student)
    training = make_training(learning_rate=1.0, warmup_steps=0, max_grad_norm=1000, max_steps=40)
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for path in student.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if name.endswith("down_proj.weight"))
    weights[name][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    place = make_place(tmp_path / "job", broken)
    want = (
        "training.learningRate: the loss must stay a number, got nan at step 1; "
        "lower learningRate or add warmupSteps"
    )
    with pytest.raises(SpecError, match=f"^{re.escape(want)}$") as caught:
        train(make_config(place, training=training))
    assert caught.value.reason == "TrainingDiverged"


def test_rows_longer_than_the_limit_stop_before_a_worker_starts(
    tmp_path: Path, student: Path
) -> None:
    place = make_place(tmp_path, student)
    with pytest.raises(
        SpecError, match=r"^training\.maxLength: Vanilla has \d+ of 30 rows longer than 32 tokens"
    ):
        train(make_config(place, training=make_training(max_length=32)))


def test_another_template_stops_before_a_worker_starts(tmp_path: Path, student: Path) -> None:
    place = make_place(tmp_path, student)
    config = make_config(place)
    pin = config.inputs.student.model_copy(update={"template_hash": "0" * 64})
    inputs = config.inputs.model_copy(update={"student": pin})
    with pytest.raises(
        SpecError, match=r"^model: the chat template must stay as prepare found it \(000000000000\)"
    ):
        train(config.model_copy(update={"inputs": inputs}))


def test_torch_without_memory_becomes_a_resource_error() -> None:
    import torch

    with pytest.raises(ResourceError) as caught, leaving_worker():
        torch.empty(2**48)
    error = caught.value
    assert error.reason == "TrainerOutOfMemory"
    assert error.message.startswith("training: out of memory, got RuntimeError")
    assert error.message.endswith(
        "lower microBatchSize or maxLength, set gradientCheckpointing, or use larger workers"
    )


def _only_hash(config: TrainConfig) -> str:
    from distillery.tasks import Arm
    from distillery.trials import trial_hash
    from ray_jobs.step import read_manifest
    from ray_jobs.storage.opening import open_storage

    manifest = read_manifest(
        open_storage(config.context.storage.uri), config.context.upstream["curate"]
    )
    targets = {
        path.path.rsplit("/", 1)[1].removesuffix(".parquet"): path.sha256
        for path in manifest.artefacts
        if path.path.startswith("targets/Vanilla-")
    }
    return trial_hash(config.inputs, arm=Arm.VANILLA, seed=0, targets=targets)
