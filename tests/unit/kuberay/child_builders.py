"""Builders of what the API server shows of an attempt: RayJob, RayCluster, pods."""

from typing import Any

from controller.kube.api import Json
from controller.plan.snapshot import Attempt, RayStatus
from distillery.progress import Outcome, Progress, StepRecord
from tests.attempts import make_attempt

NAME = "sums-train-0a1b2c3d-2"
STEP = "train-small"


def make_live(**changes: Any) -> Attempt:
    """An attempt as it is just after its RayJob was created."""
    values = {"number": 2, "submission_id": NAME, "ray_status": RayStatus.PENDING, **changes}
    return make_attempt(STEP, **values)


def make_ray_job(
    deployment_status: str = "Running", job_status: str = "RUNNING", **changes: Any
) -> Json:
    """A RayJob. ``changes`` are of its status but for ``suspend``, ``queue`` and ``deleted``."""
    labels = {"kueue.x-k8s.io/queue-name": changes.pop("queue")} if "queue" in changes else {}
    metadata: Json = {"name": NAME, "labels": labels}
    if changes.pop("deleted", False):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {
            "suspend": changes.pop("suspend", False),
            "activeDeadlineSeconds": 7200,
            "preRunningDeadlineSeconds": 1800,
            "rayClusterSpec": {"headGroupSpec": {}},
        },
        "status": {
            "jobDeploymentStatus": deployment_status,
            "jobStatus": job_status,
            "dashboardURL": f"{NAME}-x-head-svc.ml.svc.cluster.local:8265",
            **changes,
        },
    }


def make_cluster(*conditions: Json) -> Json:
    """A RayCluster."""
    return {"metadata": {"name": f"{NAME}-x"}, "status": {"conditions": list(conditions)}}


def make_pod(kind: str = "head", **changes: Any) -> Json:
    """A running pod. ``changes``: ``state`` of the Ray container, ``conditions``, ``deleted``,
    ``sidecar`` (the state of the second container), ``init``; others are of its status."""
    metadata: Json = {"name": f"{kind}-0", "labels": {}}
    if kind != "submitter":
        metadata["labels"]["ray.io/node-type"] = kind
    if changes.pop("deleted", False):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    statuses = [
        {"name": "ray-main", "state": changes.pop("state", {"running": {}})},
        {"name": "log-shipper", "state": changes.pop("sidecar", {"running": {}})},
    ]
    init = changes.pop("init", None)
    return {
        "metadata": {**metadata, "name": changes.pop("name", metadata["name"])},
        "spec": {
            "nodeName": changes.pop("node", "n1"),
            "initContainers": [{"name": "wait-gcs-ready", "image": "img"}],
            "containers": [
                {
                    "name": "ray-main",
                    "image": "registry/distillery:1",
                    "resources": {"limits": {"memory": "16Gi", "cpu": "4"}},
                },
                {"name": "log-shipper", "image": "registry/distillery:1"},
            ],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": statuses,
            "initContainerStatuses": [{"name": "wait-gcs-ready", "state": init}] if init else [],
            **changes,
        },
    }


def make_end(exit_code: int, reason: str = "Error", *, at: str = "2026-01-01T00:00:00Z") -> Json:
    """The state of a container that ended."""
    return {"terminated": {"exitCode": exit_code, "reason": reason, "finishedAt": at}}


def make_wait(reason: str, message: str = "") -> Json:
    """The state of a container that hasn't started."""
    return {"waiting": {"reason": reason, "message": message}}


def make_disruption(reason: str) -> list[Json]:
    """The conditions of a pod that the system takes away."""
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason}]


def make_unscheduled(message: str) -> list[Json]:
    """The conditions of a pod without a place."""
    return [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    ]


def make_record(
    progress: Progress | None = None, outcome: Outcome | None = None, **changes: Any
) -> StepRecord:
    """What the attempt's driver said last."""
    values = {"attempt": 2, "submission_id": NAME, "progress": progress, "outcome": outcome}
    return StepRecord(**{**values, **changes})
