"""Which layouts hold a model, the fastest for each GPU first, and why the others don't. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distillery.sizing.efficiencies import Efficiency
from distillery.sizing.engine_memory import (
    USED_SHARE,
    EngineFormats,
    Layout,
    measure_engine,
)
from distillery.sizing.gpus import gib_text
from distillery.sizing.shapes import ModelShape
from distillery.sizing.throughput import Node, Speed, Workload, estimate_speed

MAX_PIPELINE = 4
"""More stages than these are not proposed: each adds a turn's worth of waiting."""
MANY_SEQS = 1024
"""Sequences in flight in proposals: what the KV cache holds is to decide."""


@dataclass(frozen=True, kw_only=True)
class JudgedLayout:
    """A layout and its verdict: ``problem`` is empty where it holds the model."""

    layout: Layout
    problem: str = ""
    kv_tokens: int = 0
    speed: Speed | None = None
    """None where it doesn't hold the model."""

    @property
    def speed_per_gpu(self) -> float:
        """Output tokens a second of each GPU; 0 where it doesn't hold the model."""
        return self.speed.output_tokens_per_s / self.layout.num_gpus if self.speed else 0.0


def find_layout_problem(shape: ModelShape, layout: Layout, *, gpus_per_node: int) -> str | None:
    """What is wrong with how a layout cuts the model, in the words of errors: what it must do,
    what it got, the way out. None where nothing is."""
    tensor = layout.tensor_parallel
    if gpus_per_node % tensor:
        return f"must divide gpusPerNode ({gpus_per_node}), got {tensor}; " + _use(
            shape, gpus_per_node
        )
    if shape.num_heads % tensor:
        return f"must divide the model's {shape.num_heads} heads, got {tensor}; " + _use(
            shape, gpus_per_node
        )
    if shape.num_kv_heads % tensor and tensor % shape.num_kv_heads:
        return (
            f"must divide the model's {shape.num_kv_heads} KV heads or be a multiple of them, got "
            f"{tensor}; {_use(shape, gpus_per_node)}"
        )
    return None


def judge_layout(
    shape: ModelShape,
    formats: EngineFormats,
    layout: Layout,
    workload: Workload,
    *,
    node: Node,
    efficiency: Efficiency,
    used_share: float = USED_SHARE,
    max_num_seqs: int = MANY_SEQS,
) -> JudgedLayout:
    """Whether ``layout`` holds the model and one of its longest sequences, and how fast it is."""
    problem = find_layout_problem(shape, layout, gpus_per_node=node.gpus_per_node)
    if problem is None and layout.pipeline_parallel > shape.num_layers:
        problem = f"has {layout.pipeline_parallel} stages for {shape.num_layers} layers"
    if problem is not None:
        return JudgedLayout(layout=layout, problem=problem)
    memory = measure_engine(shape, formats, node.gpu, layout, used_share=used_share)
    if not memory.fits:
        problem = (
            f"{gib_text(memory.weight_bytes)} of weights don't fit {layout.num_gpus} GPUs with "
            f"{gib_text(memory.available_bytes)} to use"
        )
        return JudgedLayout(layout=layout, problem=problem)
    speed = estimate_speed(
        shape,
        formats,
        layout,
        workload,
        node=node,
        memory=memory,
        efficiency=efficiency,
        max_num_seqs=max_num_seqs,
    )
    return JudgedLayout(layout=layout, kv_tokens=memory.kv_tokens, speed=speed)


def rank_layouts(
    shape: ModelShape,
    formats: EngineFormats,
    workload: Workload,
    *,
    node: Node,
    efficiency: Efficiency,
) -> Sequence[JudgedLayout]:
    """All layouts worth a thought, those that hold the model first, by speed a GPU."""
    judged = [
        judge_layout(shape, formats, layout, workload, node=node, efficiency=efficiency)
        for layout in candidate_layouts(node.gpus_per_node)
    ]
    return sorted(judged, key=lambda each: (-each.speed_per_gpu, each.layout.num_gpus))


def candidate_layouts(gpus_per_node: int) -> Iterator[Layout]:
    """Tensor parallelism inside a node; pipelines of whole nodes beyond it."""
    tensor = 1
    while tensor <= gpus_per_node:
        yield Layout(tensor_parallel=tensor)
        tensor *= 2
    pipeline = 2
    while pipeline <= MAX_PIPELINE:
        yield Layout(tensor_parallel=gpus_per_node, pipeline_parallel=pipeline)
        pipeline *= 2


def _use(shape: ModelShape, gpus_per_node: int) -> str:
    good = [
        str(tensor)
        for tensor in range(1, gpus_per_node + 1)
        if not gpus_per_node % tensor
        and not shape.num_heads % tensor
        and not (shape.num_kv_heads % tensor and tensor % shape.num_kv_heads)
    ]
    return f"use {', '.join(good[:-1])} or {good[-1]}" if good[1:] else f"use {good[0]}"
