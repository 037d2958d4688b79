"""What training a student needs: memory of each GPU, and time. Pure.

As ``ray_jobs.train`` does it: float32 weights and optimizer state, bf16 arithmetic, AdamW; ZeRO
shares optimizer state (stage 1), gradients (2) and weights (3) among the workers.
"""

from dataclasses import dataclass

from distillery.sizing.gpus import GIB, Gpu
from distillery.sizing.precisions import Arithmetic
from distillery.sizing.shapes import ModelShape

COMPUTE_SHARE = 0.35
"""Of a GPU's bf16 peak that training of dense models of 1 to 70 B parameters reaches in practice.
An assumption: no published figure here has our trainer's settings."""
OVERHEAD_GIB = 4.0
"""CUDA context, NCCL buffers and fragmentation."""
_WEIGHT_BYTES, _GRADIENT_BYTES, _OPTIMIZER_BYTES = 4, 4, 8
_ACTIVATION_BYTES = 2
_SHARES_OPTIMIZER, _SHARES_GRADIENTS, _SHARES_WEIGHTS = 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a student is trained. ``adapter_rank`` 0 trains all weights; ``zero_stage`` 0 is plain
    data parallelism."""

    num_workers: int
    micro_batch_size: int
    max_length: int
    adapter_rank: int = 0
    zero_stage: int = 0
    is_checkpointed: bool = False
    """Whether activations are computed twice to hold fewer of them."""


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes on each GPU."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        """All of it, with what the GPU holds anyway."""
        held = self.weights + self.gradients + self.optimizer + self.activations
        return held + OVERHEAD_GIB * GIB


def measure_training(shape: ModelShape, plan: TrainingPlan) -> TrainingMemory:
    """What each GPU holds at the fullest moment of a step of full-length rows."""
    trained = adapter_weights(shape, plan.adapter_rank) if plan.adapter_rank else shape.num_weights

    def part(num_bytes: float, shared_from: int) -> float:
        return num_bytes / plan.num_workers if plan.zero_stage >= shared_from else num_bytes

    frozen = shape.num_weights if plan.adapter_rank else 0
    return TrainingMemory(
        weights=part((frozen + trained) * _WEIGHT_BYTES, _SHARES_WEIGHTS),
        gradients=part(trained * _GRADIENT_BYTES, _SHARES_GRADIENTS),
        optimizer=part(trained * _OPTIMIZER_BYTES, _SHARES_OPTIMIZER),
        activations=_activation_bytes(shape, plan),
    )


def adapter_weights(shape: ModelShape, rank: int) -> int:
    """Weights of LoRA adapters on all linear layers but the output layer: rank x (in + out)."""
    hidden, queries = shape.hidden_size, shape.num_heads * shape.head_size
    keys = shape.num_kv_heads * shape.head_size
    attention = 2 * (hidden + queries) + 2 * (hidden + keys)
    ffn = 3 * (hidden + shape.ffn_size) * max(1, shape.num_experts)
    return rank * shape.num_layers * (attention + ffn)


def seconds_of_training(
    shape: ModelShape, plan: TrainingPlan, gpu: Gpu, *, num_tokens: float
) -> float:
    """How long ``num_tokens`` (rows x length x epochs) take.

    A token costs 2 operations a weight forward, and 4 backward; adapters save the 2 of the weights'
    gradients, checkpointing pays the forward twice.
    """
    per_weight = 6 - 2 * bool(plan.adapter_rank) + 2 * plan.is_checkpointed
    weights = shape.active_linear_weights + shape.embedding_weights
    rate = plan.num_workers * gpu.tflops[Arithmetic.BF16] * 1e12 * COMPUTE_SHARE
    return num_tokens * per_weight * weights / rate


def fits_training(memory: TrainingMemory, gpu: Gpu) -> bool:
    """Whether each GPU holds that."""
    return memory.total <= gpu.memory_gib * GIB


def _activation_bytes(shape: ModelShape, plan: TrainingPlan) -> float:
    """Kept for the backward pass, and one row's scores over the vocabulary.

    A layer keeps its inputs, queries, keys, values, the attention's output and the gated halves;
    scores of the attention are not kept (fused kernels). Checkpointed, only inputs stay, and one
    layer at a time is whole.
    """
    num_tokens = plan.micro_batch_size * plan.max_length
    keys = shape.num_kv_heads * shape.head_size
    queries = shape.num_heads * shape.head_size
    active_ffn = shape.ffn_size * max(1, shape.num_active_experts)
    layer = 4 * shape.hidden_size + 2 * queries + 2 * keys + 3 * active_ffn
    whole = 1 if plan.is_checkpointed else shape.num_layers
    kept = whole * layer + plan.is_checkpointed * shape.num_layers * shape.hidden_size
    scores = plan.max_length * shape.vocab_size * 4
    return num_tokens * kept * _ACTIVATION_BYTES + scores
