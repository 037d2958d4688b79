"""The specification in the words of TRL, PEFT and DeepSpeed."""

from pathlib import Path
from typing import Any

import pytest

from distillery.spec.student import FullMethod, LoraMethod, TrainingSpec, WorkersSpec
from distillery.stage_configs import PinnedModel, TrainInputs
from distillery.tasks import Arm, TargetKind
from ray_jobs.train.options import (
    TrialOptions,
    deepspeed_options,
    lora_options,
    sft_options,
    worker_environment,
)
from ray_jobs.train.schedule import split_batch


def make_options(
    *, method: LoraMethod | FullMethod, validates: bool = True, **training: Any
) -> dict[str, Any]:
    spec = TrainingSpec(**training)
    inputs = TrainInputs(
        student=PinnedModel(uri="file:///m", digest="d", template_hash="t"),
        method=method,
        training=spec,
        arms=(Arm.VANILLA,),
        seeds=(7,),
        target=TargetKind.ANSWER_ONLY,
    )
    return sft_options(
        inputs,
        TrialOptions(num_steps=400, seed=7, folder=Path("/scratch/t"), validates=validates),
        workers=WorkersSpec(),
        batches=split_batch(spec, num_workers=1),
    )


def test_the_quick_starts_settings_reach_the_trainer() -> None:
    options = make_options(
        method=FullMethod(),
        batch_size=64,
        micro_batch_size=16,
        learning_rate=2e-3,
        warmup_steps=50,
        min_learning_rate_ratio=0.05,
        weight_decay=0.01,
        adam_beta2=0.98,
    )
    want = {
        "max_steps": 400,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 4,
        "learning_rate": 2e-3,
        "warmup_steps": 50,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.05},
        "weight_decay": 0.01,
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "max_grad_norm": 1.0,
        "seed": 7,
        "eval_steps": 100,
        "save_steps": 100,
        "metric_for_best_model": "loss",
        "bf16": False,
        "deepspeed": None,
        "packing": False,
    }
    assert {name: options[name] for name in want} == want


@pytest.mark.parametrize(("method", "want"), [(LoraMethod(), 1e-4), (FullMethod(), 2e-5)])
def test_the_learning_rate_has_a_default_for_each_method(
    method: LoraMethod | FullMethod, want: float
) -> None:
    assert make_options(method=method)["learning_rate"] == want


def test_without_validation_rows_nothing_is_validated() -> None:
    options = make_options(method=FullMethod(), validates=False)
    assert (options["eval_strategy"], options["metric_for_best_model"]) == ("no", None)
    assert options["save_strategy"] == "steps", "a killed training must still go on"


@pytest.mark.parametrize(
    ("scheduler", "want"), [("linear", "linear"), ("constant", "constant_with_warmup")]
)
def test_schedulers_have_the_names_of_transformers(scheduler: str, want: str) -> None:
    assert make_options(method=FullMethod(), scheduler=scheduler)["lr_scheduler_type"] == want


def test_lora_adapts_all_linear_layers_unless_told_which() -> None:
    assert lora_options(LoraMethod())["target_modules"] == "all-linear"
    named = lora_options(LoraMethod(rank=4, alpha=8, dropout=0.1, target_modules=("q_proj",)))
    assert named == {
        "r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "target_modules": ["q_proj"],
        "task_type": "CAUSAL_LM",
    }


def test_deepspeed_is_off_unless_a_stage_is_named() -> None:
    assert deepspeed_options(None) is None
    options = deepspeed_options(3)
    assert options is not None
    assert options["zero_optimization"]["stage"] == 3
    assert not options["bf16"]["enabled"], "weights stay in float32"


def test_only_a_student_from_the_hub_may_ask_the_hub() -> None:
    local = worker_environment(WorkersSpec(cpus=2), student_uri="file:///m")
    assert (local["OMP_NUM_THREADS"], local["HF_HUB_OFFLINE"]) == ("2", "1")
    assert local["DS_ACCELERATOR"] == "cpu"
    hub = worker_environment(WorkersSpec(gpus=1), student_uri="hf://a/b")
    assert "HF_HUB_OFFLINE" not in hub
    assert "DS_ACCELERATOR" not in hub
