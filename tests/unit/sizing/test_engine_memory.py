"""What fits which GPUs: layouts of 405B with published room, and arithmetic against naive forms."""

import pytest

from distillery.sizing.engine_memory import (
    EngineFormats,
    EngineMemory,
    Layout,
    layers_of_stage,
    measure_engine,
)
from distillery.sizing.gpus import GIB, GPUS
from distillery.sizing.precisions import KvFormat, WeightFormat
from distillery.sizing.shape_table import SHAPES
from distillery.spec.gpus import GpuKind

_405B = SHAPES["llama-3.1-405b"]


def measure(
    gpu: GpuKind,
    weights: WeightFormat,
    layout: Layout,
    *,
    kv: KvFormat = KvFormat.BF16,
    model: str = "llama-3.1-405b",
) -> EngineMemory:
    formats = EngineFormats(weights=weights, kv=kv)
    return measure_engine(SHAPES[model], formats, GPUS[gpu], layout)


TP8 = Layout(tensor_parallel=8)
TP8_PP2 = Layout(tensor_parallel=8, pipeline_parallel=2)
TP4 = Layout(tensor_parallel=4)


@pytest.mark.parametrize(
    ("gpu", "weights", "layout", "want_weights_gib", "want_room_gib", "want_tokens"),
    [
        (GpuKind.H100_80, WeightFormat.FP8, TP8, 382, 160, 330_000),
        (GpuKind.H100_80, WeightFormat.BF16, TP8_PP2, 756, 330, 685_000),
        (GpuKind.H100_80, WeightFormat.INT4, TP8, 203, 343, 713_000),
        (GpuKind.H100_80, WeightFormat.INT4, TP4, 203, 68, 142_000),
        (GpuKind.H200, WeightFormat.FP8, TP8, 382, 610, 1_270_000),
    ],
)
def test_layouts_of_405b_have_the_room_that_is_known_of_them(
    gpu: GpuKind,
    weights: WeightFormat,
    layout: Layout,
    want_weights_gib: float,
    want_room_gib: float,
    want_tokens: int,
) -> None:
    memory = measure(gpu, weights, layout)
    assert memory.weight_bytes / GIB == pytest.approx(want_weights_gib, rel=0.01)
    assert memory.kv_room_bytes / GIB == pytest.approx(want_room_gib, rel=0.02)
    assert memory.kv_tokens == pytest.approx(want_tokens, rel=0.02)


def test_405b_in_bf16_does_not_fit_eight_h100() -> None:
    memory = measure(GpuKind.H100_80, WeightFormat.BF16, TP8)
    assert not memory.fits
    assert memory.kv_tokens == 0
    assert memory.kv_room_bytes < 0
    assert memory.available_bytes / GIB == pytest.approx(550, rel=0.01)


def test_an_fp8_cache_holds_twice_the_tokens() -> None:
    wide = measure(GpuKind.H100_80, WeightFormat.FP8, TP8)
    narrow = measure(GpuKind.H100_80, WeightFormat.FP8, TP8, kv=KvFormat.FP8)
    assert narrow.kv_tokens == pytest.approx(2 * wide.kv_tokens, abs=1)


def test_kv_heads_that_cannot_be_divided_are_held_more_than_once() -> None:
    # 8 KV heads over 16 GPUs: each GPU holds one, so the cache of 16 holds no more than 8's would.
    formats = EngineFormats(weights=WeightFormat.INT4)
    gpu = GPUS[GpuKind.H200]
    spread = measure_engine(_405B, formats, gpu, Layout(tensor_parallel=16))
    per_gpu = spread.kv_room_bytes / 16
    assert spread.kv_tokens == int(per_gpu // (2 * 126 * 1 * 128 * 2))


def test_the_fullest_stage_of_a_pipeline_decides() -> None:
    # 126 layers over 4 stages: 31 or 32 each, and embeddings on the first, output on the last.
    layout = Layout(tensor_parallel=8, pipeline_parallel=4)
    memory = measure(GpuKind.A100_80, WeightFormat.BF16, layout)
    layer = (2 * 16384 * 128 * (128 + 8) + 3 * 16384 * 53248) * 2
    embedding = 128256 * 16384 * 2
    room_of = [
        79.25 * GIB * 0.92 - 4.5 * GIB - 1.02 * (layers * layer + ends * embedding) / 8
        for layers, ends in ((31, 1), (32, 0), (32, 0), (31, 1))
    ]
    want = min(
        room // (2 * layers * 128 * 2)
        for room, layers in zip(room_of, (31, 32, 32, 31), strict=True)
    )
    assert memory.kv_tokens == int(want)


@pytest.mark.parametrize(
    ("num_layers", "num_stages", "want"),
    [
        (126, 1, [126]),
        (126, 2, [63, 63]),
        (126, 4, [31, 32, 32, 31]),
        (7, 4, [2, 2, 2, 1]),
        (5, 2, [3, 2]),
    ],
)
def test_layers_that_do_not_divide_go_before_the_last_stage(
    num_layers: int, num_stages: int, want: list[int]
) -> None:
    # As vLLM cuts them (vllm/distributed/utils.py, get_pp_indices).
    got = [layers_of_stage(num_layers, stage, num_stages) for stage in range(num_stages)]
    assert got == want
