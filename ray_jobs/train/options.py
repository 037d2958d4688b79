"""The specification in the words of TRL, PEFT and DeepSpeed: plain values, no library loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.spec.student import (
    LoraMethod,
    Precision,
    Scheduler,
    TrainingSpec,
    WorkersSpec,
)
from distillery.stage_configs import TrainInputs
from ray_jobs.train.schedule import Batches

LORA_LEARNING_RATE = 1e-4
FULL_LEARNING_RATE = 2e-5
"""Defaults of ``training.learningRate`` (docs/METHOD.md)."""

HUB_SCHEME = "hf://"

_KEPT_CHECKPOINTS = 2
"""The last and the best."""


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    """What differs from trial to trial. ``folder`` gets the checkpoints; ``validates``: there are
    validation rows."""

    num_steps: int
    seed: int
    folder: Path
    validates: bool


def sft_options(
    inputs: TrainInputs, trial: TrialOptions, *, workers: WorkersSpec, batches: Batches
) -> dict[str, Any]:
    """Keyword arguments of ``trl.SFTConfig`` for one trial.

    Rows reach the trainer in the order of ``schedule.build_order``, so its own epochs and shuffling
    are off. ``bf16`` is off because the trainer's own subclass does the autocast, which DeepSpeed
    would otherwise turn into bfloat16 weights.
    """
    training, validates = inputs.training, trial.validates
    rate = training.learning_rate or (
        LORA_LEARNING_RATE if isinstance(inputs.method, LoraMethod) else FULL_LEARNING_RATE
    )
    return {
        "output_dir": str(trial.folder),
        "max_steps": trial.num_steps,
        "per_device_train_batch_size": batches.micro_batch_size,
        "per_device_eval_batch_size": batches.micro_batch_size,
        "gradient_accumulation_steps": batches.accumulation,
        "train_sampling_strategy": "sequential",
        "learning_rate": rate,
        "warmup_steps": training.warmup_steps,
        **_scheduler_options(training),
        "optim": "adamw_torch",
        "weight_decay": training.weight_decay,
        "adam_beta1": training.adam_beta1,
        "adam_beta2": training.adam_beta2,
        "max_grad_norm": training.max_grad_norm,
        "bf16": False,
        "fp16": False,
        "use_cpu": workers.gpus == 0,
        "gradient_checkpointing": training.gradient_checkpointing,
        "deepspeed": deepspeed_options(training.deepspeed_stage),
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "seed": trial.seed,
        "data_seed": trial.seed,
        "max_length": None,
        "packing": False,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": workers.gpus > 0,
        "logging_strategy": "steps",
        "logging_steps": 1,
        # A loss that is no number must be seen, not replaced by the mean of the ones before it.
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if validates else "no",
        "eval_steps": training.eval_steps,
        "save_strategy": "steps",
        "save_steps": training.eval_steps,
        "save_total_limit": _KEPT_CHECKPOINTS,
        "metric_for_best_model": "loss" if validates else None,
        "greater_is_better": False if validates else None,
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "warning",
    }


def lora_options(method: LoraMethod) -> dict[str, Any]:
    """Keyword arguments of ``peft.LoraConfig``."""
    return {
        "r": method.rank,
        "lora_alpha": method.alpha,
        "lora_dropout": method.dropout,
        "target_modules": list(method.target_modules) or "all-linear",
        "task_type": "CAUSAL_LM",
    }


def deepspeed_options(stage: int | None) -> dict[str, Any] | None:
    """DeepSpeed's configuration for a ZeRO stage: float32 weights and state, PyTorch's AdamW."""
    if stage is None:
        return None
    return {
        "zero_optimization": {
            "stage": stage,
            "overlap_comm": False,
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": False},
        "fp16": {"enabled": False},
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "steps_per_print": 10_000_000,
    }


def worker_environment(workers: WorkersSpec, *, student_uri: str) -> dict[str, str]:
    """Variables that must stand before a worker's first import. Only a student from the hub may
    be asked of it."""
    environment = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(workers.cpus),
    }
    if not student_uri.startswith(HUB_SCHEME):
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if not workers.gpus:
        environment |= {"DS_ACCELERATOR": "cpu"}
    return environment


def uses_autocast(training: TrainingSpec) -> bool:
    """Whether forward passes run in bfloat16."""
    return training.precision == Precision.BF16


def _scheduler_options(training: TrainingSpec) -> dict[str, Any]:
    match training.scheduler:
        case Scheduler.COSINE:
            return {
                "lr_scheduler_type": "cosine_with_min_lr",
                "lr_scheduler_kwargs": {"min_lr_rate": training.min_learning_rate_ratio},
            }
        case Scheduler.LINEAR:
            return {"lr_scheduler_type": "linear"}
        case Scheduler.CONSTANT:
            return {"lr_scheduler_type": "constant_with_warmup"}
