"""How fast a replica answers: a roofline over one turn of the pipeline. Pure.

In one turn every sequence in flight gains a token. A turn reads the weights once a stage and the
KV cache once, multiplies every token, sums over the tensor-parallel GPUs and launches every layer;
prompts are multiplied in between. Nothing overlaps in this model: that is what the efficiencies
were fitted with.
"""

from dataclasses import dataclass

from distillery.sizing.efficiencies import Efficiency
from distillery.sizing.engine_memory import EngineFormats, EngineMemory, Layout
from distillery.sizing.gpus import Gpu
from distillery.sizing.precisions import Arithmetic
from distillery.sizing.shapes import ModelShape

MIN_CALIBRATED_WEIGHTS = 8_000_000_000
"""Below, launches and the host decide, which no published figure here describes."""
_ACTIVATION_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is asked: means over all requests, in tokens."""

    num_requests: int
    prompt_tokens: float
    answer_tokens: float


@dataclass(frozen=True, kw_only=True)
class Node:
    """The machine a replica's GPUs are in."""

    gpu: Gpu
    gpus_per_node: int
    network_gb_s: float | None = None
    """One GPU's share of the network in one direction. Default: what such GPUs usually have."""

    @property
    def network(self) -> float:
        """Bytes a second that one GPU sends to another node."""
        shared = self.gpu.network_gb_s if self.network_gb_s is None else self.network_gb_s
        return shared * 1e9


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What one replica does in the steady state.

    ``num_in_flight`` is how many sequences are answered at once. ``is_calibrated`` says whether
    figures of such models were compared with published ones.
    """

    output_tokens_per_s: float
    prompt_tokens_per_s: float
    num_in_flight: int
    is_calibrated: bool

    def seconds_for(self, workload: Workload) -> float:
        """How long one replica needs for all of it."""
        return workload.num_requests * workload.answer_tokens / self.output_tokens_per_s


def estimate_speed(
    shape: ModelShape,
    formats: EngineFormats,
    layout: Layout,
    workload: Workload,
    *,
    node: Node,
    memory: EngineMemory,
    efficiency: Efficiency,
    max_num_seqs: int,
) -> Speed:
    """The speed of one replica whose KV cache is as ``memory`` says.

    With S sequences in flight of mean length c = prompt + answer / 2, and all rates of one
    replica's GPUs (TP x PP = n) times their efficiencies:

        turn  = W / (TP x BW) + S c kv / (n BW) + S t + layers x launch
        t     = 2 P / (n F) + all-reduces of a token / PP      (seconds a token)
        speed = answer / (prompt (t + attention) + answer x turn / S)

    Args:
        memory: Of the same shape, formats and layout; it must fit.

    Source: the sets of ``efficiencies.py``; docs/sizing.md shows predicted against published.
    """
    gpu = node.gpu
    mean_length = workload.prompt_tokens + workload.answer_tokens / 2
    by_room = int(memory.kv_tokens // max(1.0, mean_length))
    num_in_flight = max(1, min(max_num_seqs, by_room, workload.num_requests))
    arithmetic = gpu.arithmetic_of(formats.weights.arithmetic)
    flops = _flops(gpu, layout, efficiency, arithmetic)
    token_s = 2 * shape.active_linear_weights / flops + _all_reduce_s(
        shape, layout, node, efficiency
    )
    last_s = 2 * shape.embedding_weights / _flops(gpu, layout, efficiency, Arithmetic.BF16)
    bandwidth = gpu.bandwidth_gb_s * 1e9 * efficiency.bandwidth
    weight_bytes = shape.weight_bytes(formats.weights)
    kv_bytes = shape.kv_bytes_per_token(formats.kv) * _kv_copies(shape, layout)
    turn_s = (
        weight_bytes / (layout.tensor_parallel * bandwidth)
        + num_in_flight * mean_length * kv_bytes / (layout.num_gpus * bandwidth)
        + num_in_flight * (token_s + last_s)
        + shape.num_layers * efficiency.layer_s
    )
    # Scores and sums over the tokens before, each token half the prompt on average.
    attention_s = (
        2 * shape.num_layers * shape.num_heads * shape.head_size * workload.prompt_tokens / flops
    )
    request_s = (
        workload.prompt_tokens * (token_s + attention_s)
        + workload.answer_tokens * turn_s / num_in_flight
    )
    return Speed(
        output_tokens_per_s=workload.answer_tokens / request_s,
        prompt_tokens_per_s=workload.prompt_tokens / request_s,
        num_in_flight=num_in_flight,
        is_calibrated=not shape.is_moe and shape.num_weights >= MIN_CALIBRATED_WEIGHTS,
    )


def _flops(gpu: Gpu, layout: Layout, efficiency: Efficiency, arithmetic: Arithmetic) -> float:
    """Operations a second of one replica."""
    peak = gpu.tflops[arithmetic] * 1e12
    return layout.num_gpus * peak * efficiency.compute[arithmetic]


def _kv_copies(shape: ModelShape, layout: Layout) -> float:
    """How often each KV head is held: more than once where there are more GPUs than heads."""
    return max(1.0, layout.tensor_parallel / shape.num_kv_heads)


def _all_reduce_s(shape: ModelShape, layout: Layout, node: Node, efficiency: Efficiency) -> float:
    """Seconds a token spends in sums over tensor-parallel GPUs: two a layer, of one activation.

    A ring moves 2 (k - 1) / k of the data over each of k members' links. Beyond one node it is done
    inside the nodes first, and each GPU then exchanges its part with those of the other nodes.
    """
    data = 2 * shape.num_layers * shape.hidden_size * _ACTIVATION_BYTES
    num_near = min(layout.tensor_parallel, node.gpus_per_node)
    num_nodes = -(-layout.tensor_parallel // node.gpus_per_node)
    near_s = data * _ring(num_near) / (node.gpu.link_gb_s * 1e9 * efficiency.link)
    far_s = data / num_near * _ring(num_nodes) / (node.network * efficiency.link)
    return (near_s + far_s) / layout.pipeline_parallel


def _ring(num_members: int) -> float:
    return 2 * (num_members - 1) / num_members
