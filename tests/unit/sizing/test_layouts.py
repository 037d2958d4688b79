"""Layouts: how they may cut a model, which hold it, and in what order they are proposed."""

import pytest

from distillery.sizing.efficiencies import DEFAULT_EFFICIENCY
from distillery.sizing.engine_memory import EngineFormats, Layout
from distillery.sizing.gpus import GPUS
from distillery.sizing.layouts import (
    JudgedLayout,
    candidate_layouts,
    find_layout_problem,
    judge_layout,
    rank_layouts,
)
from distillery.sizing.precisions import WeightFormat
from distillery.sizing.shape_table import SHAPES
from distillery.sizing.throughput import Node, Workload
from distillery.spec.gpus import GpuKind

WORKLOAD = Workload(num_requests=100_000, prompt_tokens=1000, answer_tokens=1500)
NODE = Node(gpu=GPUS[GpuKind.H100_80], gpus_per_node=8)


@pytest.mark.parametrize(
    ("model", "tensor_parallel", "gpus_per_node", "want"),
    [
        ("llama-3.1-405b", 8, 8, None),
        ("llama-3.1-405b", 16, 16, None),
        ("llama-3.1-405b", 3, 8, "must divide gpusPerNode (8), got 3; use 1, 2, 4 or 8"),
        ("llama-3.1-405b", 16, 8, "must divide gpusPerNode (8), got 16; use 1, 2, 4 or 8"),
        ("qwen2.5-7b", 8, 8, "must divide the model's 28 heads, got 8; use 1, 2 or 4"),
        ("smollm2-135m", 2, 2, "must divide the model's 9 heads, got 2; use 1"),
        (
            "mistral-large",
            12,
            12,
            "must divide the model's 8 KV heads or be a multiple of them, got 12; use 1, 2 or 4",
        ),
    ],
)
def test_a_layout_must_cut_heads_and_nodes_evenly(
    model: str, tensor_parallel: int, gpus_per_node: int, want: str | None
) -> None:
    layout = Layout(tensor_parallel=tensor_parallel)
    assert find_layout_problem(SHAPES[model], layout, gpus_per_node=gpus_per_node) == want


def judge(weights: WeightFormat, layout: Layout) -> JudgedLayout:
    return judge_layout(
        SHAPES["llama-3.1-405b"],
        EngineFormats(weights=weights),
        layout,
        WORKLOAD,
        node=NODE,
        efficiency=DEFAULT_EFFICIENCY,
    )


def test_405b_in_bf16_is_refused_on_eight_h100_with_the_numbers() -> None:
    judged = judge(WeightFormat.BF16, Layout(tensor_parallel=8))
    assert judged.problem == "756 GiB of weights don't fit 8 GPUs with 550 GiB to use"
    assert judged.speed is None
    assert judged.speed_per_gpu == 0


def test_more_stages_than_layers_are_refused() -> None:
    judged = judge_layout(
        SHAPES["llama-3.2-1b"],
        EngineFormats(weights=WeightFormat.BF16),
        Layout(tensor_parallel=1, pipeline_parallel=17),
        WORKLOAD,
        node=NODE,
        efficiency=DEFAULT_EFFICIENCY,
    )
    assert judged.problem == "has 17 stages for 16 layers"


def test_layouts_are_ranked_by_speed_a_gpu_and_those_that_do_not_fit_come_last() -> None:
    ranked = rank_layouts(
        SHAPES["llama-3.1-405b"],
        EngineFormats(weights=WeightFormat.FP8),
        WORKLOAD,
        node=NODE,
        efficiency=DEFAULT_EFFICIENCY,
    )
    fitting = [each for each in ranked if each.speed]
    assert [each.speed_per_gpu for each in fitting] == sorted(
        (each.speed_per_gpu for each in fitting), reverse=True
    )
    assert [str(each.layout) for each in ranked[len(fitting) :]] == [
        "TP1 x PP1",
        "TP2 x PP1",
        "TP4 x PP1",
    ]
    assert {str(each.layout) for each in fitting} == {"TP8 x PP1", "TP8 x PP2", "TP8 x PP4"}


def test_tensor_parallelism_is_proposed_inside_a_node_and_pipelines_of_whole_nodes() -> None:
    assert [str(layout) for layout in candidate_layouts(8)] == [
        "TP1 x PP1",
        "TP2 x PP1",
        "TP4 x PP1",
        "TP8 x PP1",
        "TP8 x PP2",
        "TP8 x PP4",
    ]
