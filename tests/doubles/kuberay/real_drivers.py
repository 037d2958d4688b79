"""A driver that runs the step for real, on a Ray cluster of the test's: no pod has a process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.kube.api import Json
from controller.launchers.ray_jobs_api import RayJob, RayJobsApi
from controller.plan.snapshot import RayStatus
from distillery.errors import ExternalError, TransientError
from tests.doubles.kuberay.behaviour import Script
from tests.doubles.kuberay.drivers import JobInfo
from tests.doubles.kuberay.pods import variables_of

Adapt = Callable[[Mapping[str, str], Json], Mapping[str, str]]
"""From the head container's variables and the head pod to those the step really gets: where the
API server and its token are, which folders stand for the pod's, what secrets would have held."""


def unchanged(variables: Mapping[str, str], head: Json) -> Mapping[str, str]:
    """The variables as they are in the pod."""
    return variables


@dataclass(frozen=True, kw_only=True)
class RunForReal(Script):
    """Runs the attempt's entrypoint on the Ray cluster behind ``api``.

    Args:
        adapt: Makes the variables fit this machine.
        entrypoint: Makes the command fit it, such as ``python`` to this Python.
    """

    api: RayJobsApi
    adapt: Adapt = unchanged
    entrypoint: Callable[[str], str] = str


class RealDriver:
    """A Ray job on the test's cluster, submitted when this is made."""

    def __init__(self, script: RunForReal, *, ray_job: Json, head: Json, now_s: float) -> None:
        self._api = script.api
        self._id = ray_job["status"]["jobId"]
        self._info = JobInfo(status=RayStatus.PENDING, message="", start_s=now_s)
        self._job = RayJob(
            submission_id=self._id,
            entrypoint=script.entrypoint(ray_job["spec"]["entrypoint"]),
            env_vars=dict(script.adapt(variables_of(head), head)),
            metadata=dict(ray_job["spec"].get("metadata") or {}),
        )
        self._api.submit(self._job)

    def tick(self, now_s: float) -> None:
        """As ``Driver.tick``: asks Ray. A Ray that doesn't answer is asked again."""
        if self._info.status.is_final:
            return
        try:
            status = self._api.fetch_status(self._id)
        except (ExternalError, TransientError):
            return
        self._info = JobInfo(
            status=RayStatus.FAILED if status == RayStatus.LOST else status,
            message=f"Ray job {self._id}: {status}",
            start_s=self._info.start_s,
            end_s=now_s if status.is_final else None,
        )

    def info(self) -> JobInfo:
        """As ``Driver.info``."""
        return self._info

    def stop(self) -> None:
        """As ``Driver.stop``."""
        if not self._info.status.is_final:
            self._api.stop(self._id)
