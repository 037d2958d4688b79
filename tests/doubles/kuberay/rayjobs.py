"""The life of a RayJob: one transition at each look, in KubeRay's order.

New, Initializing (cluster), Running (submitter, driver), Complete or Failed; Suspending and
Suspended on the way; ValidationFailed for what KubeRay refuses.
"""

from controller.kube.api import Json
from controller.kube.resources import RAY_CLUSTERS, RAY_JOBS
from controller.plan.snapshot import RayStatus
from tests.doubles.api_kinds import BATCH_JOBS, SERVICES
from tests.doubles.kuberay.behaviour import Timing
from tests.doubles.kuberay.drivers import JobInfo
from tests.doubles.kuberay.endings import (
    failed,
    find_early_end,
    find_end_by_submitter,
    find_finish,
    find_late_end,
    seconds,
    timestamp,
)
from tests.doubles.kuberay.names import Names
from tests.doubles.kuberay.objects import (
    DASHBOARD_PORT,
    RAY_JOB_FINALIZER,
    build_cluster,
    build_job_service,
    build_submitter,
)
from tests.doubles.kuberay.pods import head_address
from tests.doubles.kuberay.ray_side import DashboardDownError, RaySide
from tests.doubles.kuberay.validation import find_refusal
from tests.doubles.kuberay.world import World

NOT_MIRRORED = ("lastUpdateTime",)


class RayJobs:
    """What KubeRay does to RayJobs."""

    def __init__(self, world: World, *, ray: RaySide, timing: Timing, names: Names) -> None:
        self._world = world
        self._ray = ray
        self._timing = timing
        self._names = names

    def look_at(self, ray_job: Json, now_s: float) -> None:
        """Does what is due for one RayJob."""
        if "deletionTimestamp" in ray_job["metadata"]:
            self._let_go(ray_job)
            return
        if refusal := find_refusal(ray_job):
            changes = {
                "jobDeploymentStatus": "ValidationFailed",
                "reason": "ValidationFailed",
                "message": refusal,
            }
            self._world.change_status(RAY_JOBS, ray_job, changes)
            return
        match (ray_job.get("status") or {}).get("jobDeploymentStatus", ""):
            case "":
                self._begin(ray_job, now_s)
            case "Initializing":
                self._initialize(ray_job, now_s)
            case "Running":
                self._run(ray_job, now_s)
            case "Suspending":
                self._suspend(ray_job)
            case "Suspended":
                if not ray_job["spec"].get("suspend"):
                    self._change(ray_job, {"jobStatus": None, "jobDeploymentStatus": None})
            case "Complete" | "Failed":
                self._clean_up(ray_job, now_s)

    def _let_go(self, ray_job: Json) -> None:
        metadata = ray_job["metadata"]
        status = ray_job.get("status") or {}
        self._ray.stop(metadata["namespace"], status.get("rayClusterName", ""))
        others = [each for each in metadata.get("finalizers", ()) if each != RAY_JOB_FINALIZER]
        if others != metadata.get("finalizers", []):
            self._world.change_metadata(RAY_JOBS, ray_job, {"finalizers": others})

    def _begin(self, ray_job: Json, now_s: float) -> None:
        metadata, spec = ray_job["metadata"], ray_job["spec"]
        finalizers = metadata.get("finalizers", [])
        if RAY_JOB_FINALIZER not in finalizers:
            changes = {"finalizers": [*finalizers, RAY_JOB_FINALIZER]}
            self._world.change_metadata(RAY_JOBS, ray_job, changes)
            return
        name = metadata["name"]
        begun = {
            "jobId": spec.get("jobId") or f"{name}-{self._names.suffix()}",
            "rayClusterName": f"{name}-{self._names.suffix()}",
            "jobDeploymentStatus": "Initializing",
            "startTime": timestamp(now_s),
        }
        self._change(ray_job, begun)

    def _initialize(self, ray_job: Json, now_s: float) -> None:
        if changes := find_early_end(ray_job, now_s):
            self._change(ray_job, changes)
            return
        cluster = self._cluster(ray_job)
        if cluster is None:
            return
        mirrored = _mirror(cluster)
        if mirrored.get("state") != "ready":
            self._change(ray_job, {"rayClusterStatus": mirrored})
            return
        url = f"{head_address(cluster)}:{DASHBOARD_PORT}"
        started = {**ray_job, "status": {**ray_job["status"], "dashboardURL": url}}
        self._world.ensure(BATCH_JOBS, build_submitter(started))
        self._change(ray_job, {"dashboardURL": url, "jobDeploymentStatus": "Running"})

    def _run(self, ray_job: Json, now_s: float) -> None:
        if changes := find_late_end(ray_job, self._timing, now_s):
            self._change(ray_job, changes)
            return
        cluster = self._cluster(ray_job)
        if cluster is None:
            return
        status = ray_job["status"]
        service = build_job_service(ray_job, cluster=status["rayClusterName"])
        self._world.ensure(SERVICES, service)
        finished = find_finish(self._world.find(BATCH_JOBS, *_place(ray_job)))
        if changes := find_end_by_submitter(ray_job, finished, self._timing, now_s):
            self._change(ray_job, changes)
            return
        try:
            info = self._ray.info(ray_job["metadata"]["namespace"], status["rayClusterName"])
        except DashboardDownError:
            if "jobStatusCheckFailureStartTime" not in status:
                self._change(ray_job, {"jobStatusCheckFailureStartTime": timestamp(now_s)})
            return
        self._follow(ray_job, info, cluster, is_submitter_done=finished is not None, now_s=now_s)

    def _follow(
        self,
        ray_job: Json,
        info: JobInfo | None,
        cluster: Json,
        *,
        is_submitter_done: bool,
        now_s: float,
    ) -> None:
        """Takes over what the dashboard says."""
        if info is None:
            if is_submitter_done:
                message = "Submitter completed but Ray job not found in RayCluster."
                self._change(ray_job, failed("AppFailed", message, now_s))
            return
        times = {"startTime": timestamp(info.start_s)}
        if info.end_s is not None:
            times["endTime"] = timestamp(info.end_s)
        changes: Json = {
            "jobStatus": info.status.value,
            "message": info.message,
            "rayJobInfo": times,
            "rayClusterStatus": _mirror(cluster),
            "jobStatusCheckFailureStartTime": None,
        }
        if info.status.is_final and is_submitter_done:
            has_failed = info.status == RayStatus.FAILED
            changes |= {
                "jobDeploymentStatus": "Failed" if has_failed else "Complete",
                "endTime": timestamp(now_s),
                "failed": int(has_failed),
                "succeeded": int(info.status == RayStatus.SUCCEEDED),
            }
            if has_failed:
                changes["reason"] = "AppFailed"
        self._change(ray_job, changes)

    def _suspend(self, ray_job: Json) -> None:
        """Takes cluster and submitter away; once both are gone, all is as if it never ran."""
        status = ray_job["status"]
        namespace, name = _place(ray_job)
        found = False
        for resource, child in (
            (RAY_CLUSTERS, status.get("rayClusterName", "")),
            (BATCH_JOBS, name),
        ):
            raw = self._world.find(resource, namespace, child) if child else None
            if raw is not None:
                found = True
                self._world.delete(resource, raw)
        if found:
            return
        forgotten = (
            "rayClusterStatus",
            "rayClusterName",
            "dashboardURL",
            "jobId",
            "message",
            "reason",
            "rayJobInfo",
            "jobStatusCheckFailureStartTime",
            "jobStatus",
        )
        changes: Json = dict.fromkeys(forgotten)
        self._change(ray_job, {**changes, "jobDeploymentStatus": "Suspended"})

    def _clean_up(self, ray_job: Json, now_s: float) -> None:
        """Takes the cluster down; the submitter stays, for its log."""
        spec, status = ray_job["spec"], ray_job["status"]
        if not spec.get("shutdownAfterJobFinishes"):
            return
        if now_s < seconds(status["endTime"]) + spec.get("ttlSecondsAfterFinished", 0):
            return
        namespace = ray_job["metadata"]["namespace"]
        cluster = self._world.find(RAY_CLUSTERS, namespace, status["rayClusterName"])
        if cluster is not None:
            self._world.delete(RAY_CLUSTERS, cluster)

    def _cluster(self, ray_job: Json) -> Json | None:
        """The RayJob's cluster; created, and so not there before the next look, if it is absent."""
        name = ray_job["status"]["rayClusterName"]
        found = self._world.find(RAY_CLUSTERS, ray_job["metadata"]["namespace"], name)
        if found is None:
            self._world.create(RAY_CLUSTERS, build_cluster(ray_job, name=name))
        return found

    def _change(self, ray_job: Json, changes: Json) -> None:
        self._world.change_status(RAY_JOBS, ray_job, changes)


def _place(ray_job: Json) -> tuple[str, str]:
    return ray_job["metadata"]["namespace"], ray_job["metadata"]["name"]


def _mirror(cluster: Json) -> Json:
    status = cluster.get("status") or {}
    return {name: value for name, value in status.items() if name not in NOT_MIRRORED}
