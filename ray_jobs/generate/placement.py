"""Which node each pipeline stage of a replica gets; pure. ``fleet.py`` asks Ray for it.

Ray places bundles one by one, and can't be told that some belong together. So the nodes are chosen
here: all tensor-parallel GPUs of a stage on one node.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NODE_LABEL = "ray.io/node-id"
"""Ray's own label of every node."""


@dataclass(frozen=True, kw_only=True)
class Bundles:
    """What a placement group is asked for: an engine's process, then one bundle a GPU, stage by
    stage, each with the label of its node."""

    resources: Sequence[Mapping[str, float]]
    selectors: Sequence[Mapping[str, str]]


def choose_nodes(
    free_gpus: Mapping[str, float], *, tensor_parallel: int, pipeline_parallel: int
) -> list[str] | None:
    """The node of each stage; None while there is no room for all of them.

    A stage takes the fullest node that still has room, so that whole nodes stay whole.

    Args:
        free_gpus: By node id.
    """
    free = dict(free_gpus)
    chosen = []
    for _ in range(pipeline_parallel):
        fitting = [node for node, gpus in free.items() if gpus >= tensor_parallel]
        if not fitting:
            return None
        node = min(fitting, key=lambda each: (free[each], each))
        free[node] -= tensor_parallel
        chosen.append(node)
    return chosen


def build_bundles(nodes: Sequence[str], *, tensor_parallel: int) -> Bundles:
    """The bundles of a replica whose stages are on ``nodes``. vLLM takes bundles of one GPU."""
    gpu_nodes = [node for node in nodes for _ in range(tensor_parallel)]
    return Bundles(
        resources=[{"CPU": 1.0}, *({"GPU": 1.0} for _ in gpu_nodes)],
        selectors=[{NODE_LABEL: node} for node in (nodes[0], *gpu_nodes)],
    )
