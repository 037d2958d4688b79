"""Whether a model fits a layout of GPUs, and how many tokens its KV cache then holds. Pure.

What holds on the fullest GPU decides: with pipeline parallelism the first stage also has the
embeddings and the last one the output layer.
"""

import math
from dataclasses import dataclass

from distillery.sizing.gpus import GIB, Gpu
from distillery.sizing.precisions import EMBEDDING_BYTES, KvFormat, WeightFormat
from distillery.sizing.shapes import ModelShape

WEIGHT_SLACK = 1.02
"""Loaded weights against their size on disk: padding, scales, buffers."""
OVERHEAD_GIB = 4.5
"""Of each GPU: CUDA context, graphs, NCCL buffers, activations of a batch of 8,192 tokens."""
USED_SHARE = 0.92
"""vLLM's default share of a GPU's memory, and ``gpuMemoryUtilization``'s."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One replica: ``tensor_parallel`` GPUs share each layer, ``pipeline_parallel`` groups of
    them share the layers among themselves."""

    tensor_parallel: int
    pipeline_parallel: int = 1

    @property
    def num_gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    def __str__(self) -> str:
        return f"TP{self.tensor_parallel} x PP{self.pipeline_parallel}"


@dataclass(frozen=True, kw_only=True)
class EngineFormats:
    """How weights and KV cache are kept."""

    weights: WeightFormat
    kv: KvFormat = KvFormat.BF16


@dataclass(frozen=True, kw_only=True)
class EngineMemory:
    """What a replica needs and has; all in bytes.

    ``kv_room_bytes`` is what the weights leave on all GPUs. ``kv_tokens`` counts the tokens that
    all sequences together may have in the cache, by the fullest GPU.
    """

    weight_bytes: float
    available_bytes: float
    kv_room_bytes: float
    kv_tokens: int

    @property
    def fits(self) -> bool:
        """Whether at least one token has room."""
        return self.kv_tokens > 0


def measure_engine(
    shape: ModelShape,
    formats: EngineFormats,
    gpu: Gpu,
    layout: Layout,
    *,
    used_share: float = USED_SHARE,
) -> EngineMemory:
    """What one replica of ``shape`` in ``layout`` needs and has.

    Per GPU: memory x ``used_share`` - ``OVERHEAD_GIB`` - weights x ``WEIGHT_SLACK``. KV heads that
    tensor parallelism can't divide are held more than once.

    Source: docs/sizing.md, with the published layouts it is compared with.
    """
    available = gpu.memory_gib * GIB * used_share - OVERHEAD_GIB * GIB
    rooms, tokens = [], []
    for stage in range(layout.pipeline_parallel):
        num_layers = layers_of_stage(shape.num_layers, stage, layout.pipeline_parallel)
        weights = _stage_weight_bytes(shape, formats.weights, layout, stage, num_layers)
        room = available - WEIGHT_SLACK * weights / layout.tensor_parallel
        rooms.append(room)
        tokens.append(room // _kv_bytes_of_gpu(shape, formats.kv, layout, num_layers))
    return EngineMemory(
        weight_bytes=shape.weight_bytes(formats.weights),
        available_bytes=available * layout.num_gpus,
        kv_room_bytes=sum(rooms) * layout.tensor_parallel,
        kv_tokens=max(0, int(min(tokens))),
    )


def layers_of_stage(num_layers: int, stage: int, num_stages: int) -> int:
    """Layers of a pipeline stage, from 0: what doesn't divide goes to the stages before the last,
    which has the output layer."""
    whole, rest = divmod(num_layers, num_stages)
    return whole + (num_stages - 1 - rest <= stage < num_stages - 1)


def _stage_weight_bytes(
    shape: ModelShape, weights: WeightFormat, layout: Layout, stage: int, num_layers: int
) -> float:
    linear = shape.linear_weights * weights.bytes_per_weight * num_layers / shape.num_layers
    is_first, is_last = stage == 0, stage == layout.pipeline_parallel - 1
    num_matrices = 1 if shape.is_tied and is_first and is_last else is_first + is_last
    kept = max(EMBEDDING_BYTES, weights.bytes_per_weight)
    return linear + num_matrices * shape.embedding_weights * kept


def _kv_bytes_of_gpu(shape: ModelShape, kv: KvFormat, layout: Layout, num_layers: int) -> int:
    num_heads = math.ceil(shape.num_kv_heads / layout.tensor_parallel)
    return 2 * num_layers * num_heads * shape.head_size * kv.bytes_per_value
