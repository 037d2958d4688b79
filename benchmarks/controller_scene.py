"""The cluster of ``benchmarks.controller``: a real control plane with thousands of jobs in it.

The programs are those of ``tests/controlplane``; KubeRay is ``controller_kuberay.py``, a process.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.controller_readings import FLOW_SCHEMA
from controller.kube.api import Json
from controller.kube.http import HttpApi
from controller.kube.resources import DISTILLATION_JOBS
from controller.runtime.cache import Cache
from controller.runtime.clock import SystemClock
from controller.runtime.informer import Informer
from controller.runtime.listing import Watched
from tests.builders import make_document
from tests.controllers import USER, Controllers, install
from tests.controlplane.binaries import find_binaries
from tests.controlplane.fixtures import ControlPlane

REPOSITORY = Path(__file__).parents[1]
CRDS_VARIABLE = "DISTILLERY_KUBERAY_CRDS"
_CRDS = ("ray.io_rayjobs.yaml", "ray.io_rayclusters.yaml")
_NUM_CREATORS = 8


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many jobs are how far. ``running`` counts steps but prepare."""

    accepted: int
    running: int
    preparing: int


class Scene:
    """Jobs in a control plane, watched from outside.

    Args:
        controllers: Starts the controller.
    """

    def __init__(self, controllers: Controllers, namespaces: Sequence[str]) -> None:
        self.controllers = controllers
        self._namespaces = namespaces
        self._informer = Informer(
            controllers.api,
            Watched(resource=DISTILLATION_JOBS),
            cache=Cache(project=_project),
            clock=SystemClock(),
        )

    @property
    def api(self) -> HttpApi:
        """The API server, as its administrator."""
        return self.controllers.api

    def create_jobs(self, num_jobs: int) -> int:
        """Creates the jobs, spread over the namespaces; how many bytes one is, once stored."""

        def create(number: int) -> Json:
            document = make_document(storage={"uri": "s3://bucket/store"})
            namespace = self._namespaces[number % len(self._namespaces)]
            document["metadata"] = {"name": f"sums-{number:05}", "namespace": namespace}
            return self.api.create(DISTILLATION_JOBS, document)

        with ThreadPoolExecutor(_NUM_CREATORS) as pool:
            stored = list(pool.map(create, range(num_jobs)))
        return len(json.dumps(stored[-1], separators=(",", ":")))

    def watch_jobs(self) -> Callable[[], None]:
        """Begins to watch them; ends it when called."""
        self._informer.start()
        if not self._informer.wait_synced(120):
            raise RuntimeError("the jobs can't be listed")
        return lambda: (self._informer.stop(), None)[1]

    def tally(self) -> Tally:
        """How far the jobs are."""
        found = self._informer.cache.objects()
        steps = [step for each in found for step in each["running"]]
        preparing = steps.count("prepare")
        return Tally(
            accepted=sum(each["accepted"] for each in found),
            running=len(steps) - preparing,
            preparing=preparing,
        )


@contextlib.contextmanager
def running_scene(folder: Path, options: argparse.Namespace) -> Iterator[Scene]:
    """A control plane with CRDs, roles and namespaces, and no job yet."""
    control_plane = ControlPlane(folder, find_binaries())
    try:
        control_plane.start()
        install(control_plane)
        for name in _CRDS:
            control_plane.apply(_crd_folder() / name)
        control_plane.apply_object(_flow_schema())
        namespaces = [control_plane.new_namespace() for _ in range(options.namespaces)]
        controllers = Controllers(
            control_plane=control_plane,
            namespace=namespaces[0],
            folder=folder,
            settings=_settings(options),
        )
        try:
            yield Scene(controllers, namespaces)
        finally:
            controllers.stop()
    finally:
        control_plane.stop()


@contextlib.contextmanager
def running_kuberay(scene: Scene, options: argparse.Namespace) -> Iterator[Callable[[], int]]:
    """The simulator as a process. The function ends it, and says how many RayJobs were at work at
    once at most."""
    command = [
        *(sys.executable, "-m", "benchmarks.controller_kuberay"),
        f"--kubeconfig={scene.controllers.control_plane.kubeconfig}",
        f"--prepare-s={options.prepare_s}",
        f"--progress-s={options.progress_s}",
    ]
    with (scene.controllers.folder / "kuberay.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log, text=True
        )

    def end() -> int:
        process.terminate()
        said, _ = process.communicate(timeout=60)
        return int(json.loads(said)["most_active"])

    try:
        yield end
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _settings(options: argparse.Namespace) -> Json:
    return {
        "watchNamespaces": [],
        "workers": options.workers,
        "limits": {
            "launchesPerSecond": options.launches_per_second,
            "activeSteps": options.running,
            "activeStepsPerNamespace": options.running,
        },
        "installation": {"image": "example.com/distillery/ray:1"},
    }


def _flow_schema() -> Json:
    """Ordinary priority for the controller, under a name of its own that the server counts by."""
    user = {"kind": "User", "user": {"name": USER}}
    everything = {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "namespaces": ["*"],
        "clusterScope": True,
    }
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": FLOW_SCHEMA},
        "spec": {
            "matchingPrecedence": 500,
            "priorityLevelConfiguration": {"name": "workload-low"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": [user], "resourceRules": [everything]}],
        },
    }


def _crd_folder() -> Path:
    given = os.environ.get(CRDS_VARIABLE, "")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data" / "kuberay"
    if not folder.is_dir():
        raise FileNotFoundError(f"{CRDS_VARIABLE} names no folder with KubeRay's CRDs: {folder}")
    return folder


def _project(raw: Json) -> Json:
    """What ``tally`` counts."""
    status = raw.get("status") or {}
    names = ("name", "namespace", "uid", "resourceVersion")
    return {
        "metadata": {name: raw["metadata"][name] for name in names},
        "accepted": any(
            (each["type"], each["status"]) == ("Accepted", "True")
            for each in status.get("conditions", ())
        ),
        "running": [
            each["stage"] for each in status.get("stages", ()) if each["state"] == "Running"
        ],
    }
