"""The double of KubeRay lets a real Ray run the step of a RayJob whose pods are none."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from uuid import uuid4

import pytest

from controller.kube.api import Json
from controller.kube.resources import RAY_JOBS
from controller.launchers.local_cluster import ClusterRecord
from controller.launchers.ray_jobs_api import RayJobsApi
from controller.plan.snapshot import RayStatus
from tests.doubles.api_server import ApiServer
from tests.doubles.kuberay.behaviour import Timing
from tests.doubles.kuberay.operator import KubeRayDouble
from tests.doubles.kuberay.real_drivers import RunForReal
from tests.unit.doubles.kuberay_lab import make_ray_job

pytestmark = pytest.mark.heavy
DEADLINE_S = 90.0


@pytest.fixture
def api(ray_cluster: ClusterRecord) -> Iterator[RayJobsApi]:
    """A client of the tests' Ray cluster."""
    client = RayJobsApi(ray_cluster.address, token=ray_cluster.read_token())
    yield client
    client.close()


class Lab:
    """A RayJob whose driver is the Python ``code``, run by a real Ray."""

    def __init__(self, api: RayJobsApi, code: str) -> None:
        self.name = f"real-{uuid4().hex[:8]}"
        self.server = ApiServer()
        command = f"exec {shlex.join([sys.executable, '-c', code])}"

        def adapt(variables: Mapping[str, str], head: Json) -> Mapping[str, str]:
            return {**variables, "HEAD": head["metadata"]["name"]}

        script = RunForReal(api=api, adapt=adapt, entrypoint=lambda given: command)
        self.double = KubeRayDouble(
            self.server,
            behave=lambda ray_job: script,
            timing=Timing().scaled(0.001),
            collect_garbage=self.server.collect_garbage,
        )
        self.server.create(RAY_JOBS, make_ray_job(self.name))

    def until(self, holds: Callable[[Json], bool]) -> Json:
        """Steps until the RayJob's status is so."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            self.double.step(time.time())
            (ray_job,) = self.server.objects(RAY_JOBS)
            status: Json = ray_job.get("status") or {}
            if holds(status):
                return status
            assert time.monotonic() < deadline, (status, self.double.faults)
            time.sleep(0.02)


def test_a_step_runs_with_the_head_containers_variables(api: RayJobsApi) -> None:
    code = "import os; assert os.environ['DISTILLERY_ATTEMPT'] == '1'; print(os.environ['HEAD'])"
    lab = Lab(api, code)
    status = lab.until(lambda status: status.get("jobDeploymentStatus") == "Complete")
    assert status["jobStatus"] == "SUCCEEDED"
    assert f"{status['rayClusterName']}-head-" in api.fetch_log(lab.name)


def test_a_step_that_fails_fails_the_ray_job(api: RayJobsApi) -> None:
    lab = Lab(api, "raise SystemExit(3)")
    status = lab.until(lambda status: status.get("jobDeploymentStatus") == "Failed")
    assert (status["jobStatus"], status["reason"]) == ("FAILED", "AppFailed")


def test_a_step_is_stopped_with_its_ray_job(api: RayJobsApi) -> None:
    lab = Lab(api, "import time; time.sleep(600)")
    lab.until(lambda status: status.get("jobStatus") == "RUNNING")
    (ray_job,) = lab.server.objects(RAY_JOBS)
    lab.server.delete(RAY_JOBS, namespace="default", name=lab.name, uid=ray_job["metadata"]["uid"])
    lab.double.step(time.time())
    assert lab.server.objects(RAY_JOBS) == []
    deadline = time.monotonic() + DEADLINE_S
    while api.fetch_status(lab.name) != RayStatus.STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
