"""Places of engines that span several nodes: placement groups, and which of them are broken.

Which node each stage gets is ``placement.py``'s to choose. Engines within one node need none of
this: their process asks Ray for its GPUs.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_jobs.engines.base import EngineSettings
from ray_jobs.generate.placement import build_bundles, choose_nodes

_LOG = logging.getLogger(__name__)
LOOK_S = 2.0
"""Between two looks at the cluster's nodes."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an engine stands: its placement group, and the node of each pipeline stage."""

    group: Any
    nodes: tuple[str, ...]

    def actor_options(self) -> dict[str, Any]:
        """What Ray is asked for the engine's process: bundle 0, and the others for its workers."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = PlacementGroupSchedulingStrategy(
            placement_group=self.group,
            placement_group_bundle_index=0,
            placement_group_capture_child_tasks=True,
        )
        return {"num_cpus": 1, "num_gpus": 0, "scheduling_strategy": strategy}


class Placer:
    """Gives engines their places, and takes them back."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._places: dict[str, Place] = {}
        self._looked_at = float("-inf")
        self._is_told = False

    def find_place(self, engine: str) -> Place | None:
        """A place for ``engine``; None while the cluster has no room, which is said once."""
        import ray

        free = self._free_gpus()
        settings = self._settings
        nodes = choose_nodes(
            free,
            tensor_parallel=settings.tensor_parallel,
            pipeline_parallel=settings.pipeline_parallel,
        )
        if nodes is None:
            if not self._is_told:
                _LOG.warning(
                    "engine waits for nodes stages=%d gpus_each=%d free=%s",
                    settings.pipeline_parallel,
                    settings.tensor_parallel,
                    sorted(free.values(), reverse=True),
                )
            self._is_told = True
            return None
        bundles = build_bundles(nodes, tensor_parallel=settings.tensor_parallel)
        group = ray.util.placement_group(
            [dict(each) for each in bundles.resources],
            strategy="PACK",
            bundle_label_selector=[dict(each) for each in bundles.selectors],
        )
        place = Place(group=group, nodes=tuple(nodes))
        self._places[engine] = place
        _LOG.info("engine has its place engine=%s nodes=%s", engine, ",".join(nodes))
        return place

    def give_back(self, engine: str) -> None:
        """Frees the place of an engine that is gone; nothing happens where it has none."""
        import ray

        place = self._places.pop(engine, None)
        if place is not None:
            ray.util.remove_placement_group(place.group)

    def find_broken(self) -> list[str]:
        """Engines with a stage on a node that is gone; looks at most every ``LOOK_S``."""
        now = time.monotonic()
        if not self._places or now - self._looked_at < LOOK_S:
            return []
        self._looked_at = now
        alive = _total_gpus()
        return [
            engine
            for engine, place in self._places.items()
            if any(node not in alive for node in place.nodes)
        ]

    def _free_gpus(self) -> Mapping[str, float]:
        """By node: what Ray says is free, and no more than what our own places leave of it, for
        Ray's view is some tenths of a second old."""
        from ray._private.state import available_resources_per_node

        ours: Counter[str] = Counter()
        for place in self._places.values():
            for node in place.nodes:
                ours[node] += self._settings.tensor_parallel
        available = available_resources_per_node()
        return {
            node: min(available.get(node, {}).get("GPU", 0.0), total - ours[node])
            for node, total in _total_gpus().items()
        }


def _total_gpus() -> Mapping[str, float]:
    """The GPUs of each node that is alive."""
    import ray

    return {
        node["NodeID"]: node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]
    }
