"""A Ray cluster of many nodes on this machine, with GPUs that Ray believes in."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from distillery.stage_configs import GenerateConfig
from tests.integration.generate.prepared import Prepared
from tests.processes import REPOSITORY

GPUS_PER_NODE = 8
DEADLINE_S = 180.0


class SimulatedCluster:
    """A head without GPUs, and nodes of eight. Stop it with ``stop``."""

    def __init__(self, *, num_nodes: int) -> None:
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False}
        )
        self.nodes: list[Any] = []
        for _ in range(num_nodes):
            self.add_node()

    @property
    def address(self) -> str:
        """For ``RAY_ADDRESS``."""
        address: str = self._cluster.address
        return address

    def add_node(self) -> None:
        """One more node."""
        self.nodes.append(self._cluster.add_node(num_cpus=2, num_gpus=GPUS_PER_NODE))

    def kill_node(self, node_id: str) -> None:
        """As when the machine is gone."""
        node = next(each for each in self.nodes if each.node_id == node_id)
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        """Ends all of it."""
        self._cluster.shutdown()


@dataclass(kw_only=True)
class StageRun:
    """The stage as a process on a simulated cluster."""

    prepared: Prepared
    config: GenerateConfig
    cluster: SimulatedCluster
    step_s: float
    lease_s: float = 300.0
    process: "subprocess.Popen[str]" = field(init=False)

    def __post_init__(self) -> None:
        root = self.prepared.root
        self.places.mkdir(exist_ok=True)
        (root / "config.json").write_text(
            self.config.model_dump_json(by_alias=True, exclude_none=True)
        )
        with (root / "log.txt").open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.integration.fleet.run_stage",
                    *("--config", str(root / "config.json")),
                    *("--places", str(self.places)),
                    *("--outcome", str(root / "outcome.json")),
                    *("--step-s", str(self.step_s)),
                    *("--lease-s", str(self.lease_s)),
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "RAY_ADDRESS": self.cluster.address,
                    "PYTHONPATH": str(REPOSITORY),
                },
            )

    @property
    def places(self) -> Path:
        """Where engines write on which nodes they are."""
        return self.prepared.root / "places"

    def read_places(self) -> list[dict[str, Any]]:
        """What the engines wrote, in the order they started."""
        files = sorted(self.places.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text("utf-8")) for path in files]

    def wait_until(self, is_true: Callable[[], bool], what: str) -> None:
        """Raises ``AssertionError`` where it doesn't become true while the stage runs."""
        ends_at = time.monotonic() + DEADLINE_S
        while not is_true():
            assert self.process.poll() is None, f"the stage ended before {what}: {self.log()}"
            assert time.monotonic() < ends_at, f"never {what}: {self.log()}"
            time.sleep(0.05)

    def finish(self) -> dict[str, Any]:
        """The stage's outcome."""
        assert self.process.wait(timeout=DEADLINE_S) == 0, self.log()
        outcome: dict[str, Any] = json.loads(
            (self.prepared.root / "outcome.json").read_text("utf-8")
        )
        return outcome

    def log(self) -> str:
        """The end of what it wrote."""
        return (self.prepared.root / "log.txt").read_text("utf-8")[-4000:]
