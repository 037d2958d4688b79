"""``spec.students[]``: a model to train, how, and on whose labels."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from distillery.names import MAX_STUDENT_NAME_CHARS, NAME_PATTERN
from distillery.spec.model import Model
from distillery.spec.teacher import ModelRef
from distillery.tasks import Arm, TargetKind


class LoraMethod(Model):
    """Train low-rank adapters and leave the weights alone (defaults: METHOD)."""

    type: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1, le=512)
    """Rank of the adapters' matrices."""
    alpha: int = Field(default=128, ge=1, le=4096)
    """Scale: what an adapter adds is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that is left out at random in training."""
    target_modules: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        default=(), max_length=32
    )
    """Names of the layers to adapt. Default: all linear layers but the output layer."""


class FullMethod(Model):
    """Train all weights."""

    type: Literal["full"] = "full"


class Scheduler(StrEnum):
    """Shape of the learning rate after the warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Precision(StrEnum):
    """Arithmetic of the training step; weights and optimizer state stay float32."""

    BF16 = "bf16"
    FP32 = "fp32"


class WorkersSpec(Model):
    """The training workers of one student; all its trials run on them one after the other."""

    replicas: int = Field(default=1, ge=1, le=512)
    """Workers that share each batch."""
    gpus: int = Field(default=0, ge=0, le=8)
    """GPUs of one worker; 0 trains on the CPU."""
    cpus: int = Field(default=1, ge=1, le=256)
    """CPUs of one worker."""


class TrainingSpec(Model):
    """How a trial is trained (defaults: METHOD, where it names one)."""

    epochs: float = Field(default=3, gt=0, le=1000)
    """Passes over the training rows."""
    max_steps: int | None = Field(default=None, ge=1, le=10_000_000)
    """Stop after this many optimizer steps, whatever ``epochs`` says."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Default: 1e-4 for lora, 2e-5 for full."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Rows of one optimizer step, over all workers."""
    micro_batch_size: int = Field(default=8, ge=1, le=4096)
    """Rows of one forward pass in one worker. No result depends on it but by rounding."""
    max_length: int = Field(default=4096, ge=16, le=1_000_000)
    """Longest training row in tokens."""
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000)
    """Optimizer steps over which the learning rate grows from 0 to its peak."""
    scheduler: Scheduler = Scheduler.COSINE
    min_learning_rate_ratio: float = Field(default=0.0, ge=0, le=1)
    """Cosine only: where the learning rate ends, as a share of its peak."""
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    """AdamW's weight decay."""
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the mean of gradients."""
    adam_beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW's decay of the mean of squared gradients."""
    max_grad_norm: float = Field(default=1.0, gt=0, le=1000)
    """Gradients longer than this are shortened to it."""
    precision: Precision = Precision.BF16
    gradient_checkpointing: bool = False
    """Compute activations twice to hold fewer of them in memory: slower, the same result."""
    deepspeed_stage: int | None = Field(default=None, ge=1, le=3)
    """ZeRO stage. Left out: plain data parallelism."""
    eval_steps: int = Field(default=100, ge=1, le=1_000_000)
    """Optimizer steps between validation losses; a checkpoint is kept at each."""
    max_truncated_share: float = Field(default=0.01, ge=0, le=1)
    """Share of rows longer than ``maxLength`` above which training doesn't start."""


class StudentSpec(Model):
    """One student. Trials are its arms times its seeds; the untrained base is always evaluated."""

    name: str = Field(max_length=MAX_STUDENT_NAME_CHARS, pattern=NAME_PATTERN)
    """What the student is called; no two of a job alike."""
    model: ModelRef
    method: Annotated[LoraMethod | FullMethod, Field(discriminator="type")] = LoraMethod()
    workers: WorkersSpec = WorkersSpec()
    training: TrainingSpec = TrainingSpec()
    arms: tuple[Arm, ...] = Field(min_length=1, max_length=8)
    """Whose labels it is trained on, a trial for each seed: the teacher's by prompt, or Gold."""
    seeds: tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...] = Field(
        default=(0,), min_length=1, max_length=10
    )
    """Each arm is trained once for each; the spread over seeds is part of the result."""
    target: TargetKind = TargetKind.ANSWER_ONLY
    """What of the teacher's answer is trained (METHOD: the answer alone)."""
