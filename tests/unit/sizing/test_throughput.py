"""Predicted speeds against published ones, and what the model says of layouts."""

import pytest

from distillery.sizing.efficiencies import DEFAULT_EFFICIENCY, TENSORRT_LLM_2025
from distillery.sizing.engine_memory import EngineFormats, Layout, measure_engine
from distillery.sizing.gpus import GPUS
from distillery.sizing.precisions import WeightFormat
from distillery.sizing.shape_table import SHAPES
from distillery.sizing.throughput import Node, Speed, Workload, estimate_speed
from distillery.spec.gpus import GpuKind
from tests.unit.sizing.published import (
    TENSORRT_FITTED,
    TENSORRT_KEPT_BACK,
    VLLM_2024_FITTED,
    VLLM_2025_FITTED,
    VLLM_2025_KEPT_BACK,
    Published,
)

TOLERANCE = 0.3
_ALL = [
    *TENSORRT_FITTED,
    *TENSORRT_KEPT_BACK,
    *VLLM_2024_FITTED,
    *VLLM_2025_FITTED,
    *VLLM_2025_KEPT_BACK,
]


def predict(figure: Published) -> Speed:
    layout = Layout(tensor_parallel=figure.tensor_parallel)
    shape, gpu = SHAPES[figure.model], GPUS[figure.gpu]
    return estimate_speed(
        shape,
        figure.formats,
        layout,
        Workload(
            num_requests=figure.num_requests,
            prompt_tokens=figure.prompt_tokens,
            answer_tokens=figure.answer_tokens,
        ),
        node=Node(gpu=gpu, gpus_per_node=8),
        memory=measure_engine(shape, figure.formats, gpu, layout),
        efficiency=figure.efficiency,
        max_num_seqs=figure.num_in_flight,
    )


@pytest.mark.parametrize("figure", _ALL, ids=lambda figure: figure.id)
def test_published_throughputs_are_predicted_within_30_percent(figure: Published) -> None:
    speed = predict(figure)
    assert speed.output_tokens_per_s == pytest.approx(figure.tokens_per_s, rel=TOLERANCE)


def _speed(model: str, layout: Layout, *, network_gb_s: float | None = None) -> Speed:
    shape, gpu = SHAPES[model], GPUS[GpuKind.H100_80]
    formats = EngineFormats(weights=WeightFormat.BF16)
    return estimate_speed(
        shape,
        formats,
        layout,
        Workload(num_requests=10_000, prompt_tokens=1024, answer_tokens=128),
        node=Node(gpu=gpu, gpus_per_node=8, network_gb_s=network_gb_s),
        memory=measure_engine(shape, formats, gpu, layout),
        efficiency=DEFAULT_EFFICIENCY,
        max_num_seqs=256,
    )


def test_without_a_fast_network_a_pipeline_of_nodes_beats_tensor_parallelism_over_them() -> None:
    # vLLM's blog, 2024-07-23: 6.6 times, on 16 H100 without InfiniBand.
    slow = 100 / 8 / 8  # 100 Gb/s for a node of 8 GPUs
    piped = _speed(
        "llama-3.1-405b", Layout(tensor_parallel=8, pipeline_parallel=2), network_gb_s=slow
    )
    spread = _speed("llama-3.1-405b", Layout(tensor_parallel=16), network_gb_s=slow)
    assert piped.output_tokens_per_s > 2 * spread.output_tokens_per_s


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("llama-3.1-405b", True),
        ("llama-3.1-8b", True),
        ("qwen3-235b-a22b", False),
        ("llama-3.2-3b", False),
        ("smollm2-1.7b", False),
    ],
)
def test_models_of_experts_and_small_ones_are_not_calibrated(model: str, want: bool) -> None:
    assert _speed(model, Layout(tensor_parallel=8)).is_calibrated is want


def test_a_replica_of_more_sequences_is_faster_and_never_holds_more_than_its_cache() -> None:
    shape, gpu = SHAPES["llama-3.1-405b"], GPUS[GpuKind.H100_80]
    formats = EngineFormats(weights=WeightFormat.FP8)
    layout = Layout(tensor_parallel=8)
    memory = measure_engine(shape, formats, gpu, layout)
    speeds = [
        estimate_speed(
            shape,
            formats,
            layout,
            Workload(num_requests=10_000, prompt_tokens=500, answer_tokens=1000),
            node=Node(gpu=gpu, gpus_per_node=8),
            memory=memory,
            efficiency=TENSORRT_LLM_2025,
            max_num_seqs=num_seqs,
        )
        for num_seqs in (1, 16, 256, 4096)
    ]
    rates = [speed.output_tokens_per_s for speed in speeds]
    assert rates == sorted(rates)
    assert [speed.num_in_flight for speed in speeds[:3]] == [1, 16, 256]
    assert speeds[3].num_in_flight == memory.kv_tokens // 1000
