"""The life of a submitter: its pod, the hand-over of the driver to Ray, its end after the driver's.

On a real cluster the Kubernetes Job's pod and status are the kube-controller-manager's; with the
API server in memory they are made here (``JobController``).
"""

from controller.kube.api import Json
from controller.kube.resources import PODS
from tests.doubles.api_kinds import BATCH_JOBS
from tests.doubles.kuberay.behaviour import Timing
from tests.doubles.kuberay.clusters import has_ended, is_running
from tests.doubles.kuberay.kubelet import Kubelet
from tests.doubles.kuberay.names import Names
from tests.doubles.kuberay.objects import CREATOR
from tests.doubles.kuberay.ray_side import DashboardDownError, RaySide
from tests.doubles.kuberay.world import World

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"


class JobController:
    """Makes the pods of submitter Jobs and tells how they end, as Kubernetes does."""

    def __init__(self, world: World, *, names: Names) -> None:
        self._world = world
        self._names = names

    def look_at(self, job: Json, pods: list[Json], now: str) -> None:
        """Does what is due for one Job, whose own ``pods`` are given."""
        if (job.get("status") or {}).get("conditions") or "deletionTimestamp" in job["metadata"]:
            return
        phases = [(pod.get("status") or {}).get("phase") for pod in pods]
        if "Succeeded" in phases:
            self._end(job, "Complete", "CompletionsReached", now)
        elif phases.count("Failed") > job["spec"]["backoffLimit"]:
            self._end(job, "Failed", "BackoffLimitExceeded", now)
        elif all(phase == "Failed" for phase in phases):
            self._world.create(PODS, self._pod(job))

    def _end(self, job: Json, kind: str, reason: str, now: str) -> None:
        condition = {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": "Job has reached the specified backoff limit" if kind == "Failed" else "",
            "lastTransitionTime": now,
            "lastProbeTime": now,
        }
        self._world.change_status(BATCH_JOBS, job, {"conditions": [condition]})

    def _pod(self, job: Json) -> Json:
        metadata, template = job["metadata"], job["spec"]["template"]
        labels = {JOB_NAME_LABEL: metadata["name"], "job-name": metadata["name"]}
        owner = {
            "apiVersion": BATCH_JOBS.api_version,
            "kind": BATCH_JOBS.kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {
            "metadata": {
                **template["metadata"],
                "name": f"{metadata['name']}-{self._names.suffix()}",
                "namespace": metadata["namespace"],
                "labels": {**template["metadata"].get("labels", {}), **labels},
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
        }


class Submitters:
    """What runs in submitter pods."""

    def __init__(self, *, ray: RaySide, kubelet: Kubelet, timing: Timing) -> None:
        self._ray = ray
        self._kubelet = kubelet
        self._timing = timing
        self._ends: dict[str, float] = {}

    def look_at(self, pod: Json, ray_job: Json, heads: list[Json], now_s: float) -> None:
        """Lets one submitter do what is due: submit, follow, end.

        Args:
            heads: The running head pods of its cluster.
        """
        ran_s = self._kubelet.ran_s(pod, now_s)
        if has_ended(pod) or not is_running(pod) or ran_s < self._timing.submit_s:
            return
        status = ray_job["status"]
        namespace, cluster = pod["metadata"]["namespace"], status.get("rayClusterName", "")
        try:
            info = self._ray.info(namespace, cluster)
        except DashboardDownError:
            return
        if info is None:
            for head in heads[:1]:
                self._ray.submit(ray_job, head, now_s)
        elif info.status.is_final:
            ended_s = self._ends.setdefault(pod["metadata"]["uid"], now_s)
            if now_s - ended_s >= self._timing.submitter_end_s:
                self._kubelet.end(pod, exit_code=0)


def is_submitter(pod: Json) -> bool:
    """Whether the pod is a submitter's."""
    labels = pod["metadata"].get("labels") or {}
    return JOB_NAME_LABEL in labels and CREATOR.items() <= labels.items()
