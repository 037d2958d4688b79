"""KubeRay for the controller's tests: the real operator where its binary is named, else the double.

Nothing runs in pods: a double of nodes and of Ray acts out a script for either. The real operator
asks Ray's dashboards over HTTP by their cluster names; it finds them at ``Dashboards``, its proxy.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from controller.kube.api import KubeApi
from controller.kube.resources import PODS, RAY_JOBS
from tests.controlplane.fixtures import ControlPlane
from tests.doubles.kuberay.behaviour import Timing
from tests.doubles.kuberay.objects import CREATOR
from tests.doubles.kuberay.operator import KubeRayDouble
from tests.doubles.kuberay.pods import LINGER
from tests.doubles.kuberay.ray_side import DashboardDownError, RaySide
from tests.doubles.kuberay.real_operator import find_operator, running_operator, write_unused_crds
from tests.doubles.kuberay.running import running_kuberay
from tests.doubles.kuberay.scripts import Behave

TIMING = replace(
    Timing().scaled(0.05),
    status_check_timeout_s=Timing().status_check_timeout_s,
    transition_grace_s=Timing().transition_grace_s,
    submitter_finished_timeout_s=Timing().submitter_finished_timeout_s,
)
"""All is quick but KubeRay's patience, which must outlast the controller's own and a slow machine."""
_LABELS = ",".join(f"{key}={value}" for key, value in CREATOR.items())


class NodesAndRay(KubeRayDouble):
    """What is left of the double beside the real operator: nodes, submitters, Ray."""

    def _step_ray_jobs(self, now_s: float) -> None:
        for ray_job in self._world.list_all(RAY_JOBS):
            self._scripts.learn(ray_job)

    def _step_clusters(self, now: str) -> None:
        """Has new pods take their time to go, where the script says so."""
        for pod in self._world.list_all(PODS, _LABELS):
            metadata = pod["metadata"]
            if "deletionTimestamp" in metadata or LINGER in metadata.get("finalizers", ()):
                continue
            if self._scripts.of_pod(pod).pods_linger_s:
                finalizers = [*metadata.get("finalizers", ()), LINGER]
                self._world.change_metadata(PODS, pod, {"finalizers": finalizers})


class Dashboards:
    """A proxy for plain HTTP behind which every Ray cluster's dashboard answers for its job."""

    def __init__(self, ray: RaySide) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster, namespace = urlsplit(self.path).hostname.split(".")[:2]  # type: ignore[union-attr]
                try:
                    info = ray.info(namespace, cluster.removesuffix("-head-svc"))
                except DashboardDownError:
                    self.send_error(HTTPStatus.BAD_GATEWAY)
                    return
                if info is None:
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                answer = {
                    "status": info.status.value,
                    "message": info.message,
                    "start_time": int(info.start_s * 1000),
                    "end_time": int((info.end_s or 0) * 1000),
                }
                self.send_response(HTTPStatus.OK)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: object) -> None:
                """The operator asks every few seconds."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serves until the end of the block. Yields its address."""
        self._thread.start()
        try:
            yield f"http://127.0.0.1:{self._server.server_port}"
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


@contextmanager
def kuberay_running(
    control_plane: ControlPlane, api: KubeApi, behave: Behave, *, folder: Path
) -> Iterator[RaySide]:
    """KubeRay works on the control plane, whose CRDs are there, until the end of the block. Yields
    the Ray clusters of its pods.

    Args:
        api: For the doubles.
    """
    binary = find_operator()
    if binary is None:
        double = KubeRayDouble(api, behave=behave, timing=TIMING, has_job_controller=True)
        with running_kuberay(double):
            yield double.ray
        return
    for path in write_unused_crds(folder):
        control_plane.apply(path)
    nodes = NodesAndRay(api, behave=behave, timing=TIMING, has_job_controller=True)
    with (
        Dashboards(nodes.ray).serving() as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HTTP_PROXY", proxy)
        patch.setenv("NO_PROXY", "127.0.0.1")
        with (
            running_operator(binary, kubeconfig=control_plane.kubeconfig, folder=folder),
            running_kuberay(nodes),
        ):
            patch.undo()
            yield nodes.ray
