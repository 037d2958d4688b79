"""KubeRay on a real API server: the real operator where its binary is named, else the double.

Nothing runs in pods: a double of nodes drives their statuses for both.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.kube.api import Json, KubeApi
from controller.kube.faults import NotFoundError
from controller.kube.resources import RAY_JOBS, Resource
from tests.doubles.kuberay.behaviour import Script, Timing, hangs
from tests.doubles.kuberay.nodes import NodesDouble
from tests.doubles.kuberay.operator import KubeRayDouble
from tests.doubles.kuberay.real_operator import (
    find_operator,
    running_operator,
    write_unused_crds,
)
from tests.doubles.kuberay.running import running_kuberay
from tests.unit.doubles.kuberay_lab import make_ray_job

CRDS_VARIABLE = "DISTILLERY_KUBERAY_CRDS"
CRDS = Path(__file__).parents[3].parent / "shared" / "data" / "kuberay"
DEADLINE_S = 120.0
TIMING = Timing().scaled(0.05)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A KubeRay that runs. ``scripts``: RayJob name to what befalls its pods, before it is made."""

    api: KubeApi
    scripts: dict[str, Script] = field(default_factory=dict)

    def behave(self, ray_job: Json) -> Script:
        """The script of a RayJob."""
        return self.scripts.get(ray_job["metadata"]["name"], hangs())


@pytest.fixture(scope="module")
def operator(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The real operator where its binary is named, else the double."""
    api: KubeApi = control_plane.admin()
    folder = Path(os.environ.get(CRDS_VARIABLE) or CRDS)
    if not folder.is_dir():
        pytest.skip(f"{CRDS_VARIABLE} names no folder with KubeRay's CRDs, got {str(folder)!r}")
    for name in ("ray.io_rayjobs.yaml", "ray.io_rayclusters.yaml"):
        control_plane.apply(folder / name)
    wait(lambda: is_served(api))
    found = Operator(api=api)
    binary = find_operator()
    if binary is None:
        double = KubeRayDouble(api, behave=found.behave, timing=TIMING, has_job_controller=True)
        with running_kuberay(double):
            yield found
        return
    nodes = NodesDouble(api, behave=found.behave, timing=TIMING)
    folder = tmp_path_factory.mktemp("kuberay")
    for path in write_unused_crds(folder):
        control_plane.apply(path)
    with (
        running_operator(binary, kubeconfig=control_plane.kubeconfig, folder=folder),
        running_kuberay(nodes),
    ):
        yield found


@dataclass(frozen=True, kw_only=True)
class Child:
    """A RayJob in a namespace of its own."""

    api: KubeApi
    namespace: str
    name: str

    def status(self) -> Json:
        """Its status."""
        raw = self.api.fetch(RAY_JOBS, namespace=self.namespace, name=self.name)
        status: Json = raw.get("status") or {}
        return status

    def until(self, *states: str) -> Json:
        """Its status, once the deployment status is one of these."""
        wait(lambda: self.status().get("jobDeploymentStatus") in states)
        return self.status()

    def of(self, resource: Resource, labels: str = "") -> list[Json]:
        """The objects of a kind in its namespace."""
        return self.api.list_page(resource, namespace=self.namespace, labels=labels).items

    def delete(self) -> None:
        """Deletes it."""
        raw = self.api.fetch(RAY_JOBS, namespace=self.namespace, name=self.name)
        self.api.delete(
            RAY_JOBS, namespace=self.namespace, name=self.name, uid=raw["metadata"]["uid"]
        )


Make = Callable[..., Child]


@pytest.fixture
def make_child(operator: Operator, control_plane: Any) -> Iterator[Make]:
    """Makes RayJobs, and takes them away at the end."""
    made: list[Child] = []

    def make(name: str, *, script: Script | None = None, **changes: Any) -> Child:
        namespace = control_plane.new_namespace()
        if script is not None:
            operator.scripts[name] = script
        ray_job = make_ray_job(name, **changes)
        ray_job["metadata"]["namespace"] = namespace
        operator.api.create(RAY_JOBS, ray_job)
        made.append(Child(api=operator.api, namespace=namespace, name=name))
        return made[-1]

    yield make
    for child in made:
        try:
            child.delete()
        except NotFoundError:
            continue


def is_served(api: KubeApi) -> bool:
    """Whether the API server knows RayJobs by now."""
    try:
        api.list_page(RAY_JOBS)
    except NotFoundError:
        return False
    return True


def wait(holds: Callable[[], bool]) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
