"""What is kept of a child's objects in the caches: what ``observing.py`` reads, and no more.

A pod or RayJob of a large job is tens of KiB, most of it templates. Each projection is the object
again with parts left out, so that reading works on both.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from controller.kube.api import Json
from controller.launchers.kuberay.labels import FAILURES_BEFORE

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
)
_RAY_JOB_SPEC = ("suspend", "jobId", "activeDeadlineSeconds", "preRunningDeadlineSeconds")
_RAY_JOB_STATUS = (
    "jobId",
    "jobStatus",
    "jobDeploymentStatus",
    "reason",
    "message",
    "dashboardURL",
    "rayClusterName",
    "startTime",
    "endTime",
)
_POD_STATUS = ("phase", "reason", "message", "containerStatuses", "initContainerStatuses")
_POD_CONDITIONS = ("PodScheduled", "DisruptionTarget")


def project_ray_job(raw: Json) -> Json:
    """A RayJob without its cluster's specification. Of the annotations the launcher's is kept."""
    head = _head(raw)
    head["metadata"]["annotations"] = _pick(raw["metadata"].get("annotations"), (FAILURES_BEFORE,))
    return {
        **head,
        "spec": _pick(raw.get("spec"), _RAY_JOB_SPEC),
        "status": _pick(raw.get("status"), _RAY_JOB_STATUS),
    }


def project_ray_cluster(raw: Json) -> Json:
    """A RayCluster without its specification."""
    return {**_head(raw), "status": _pick(raw.get("status"), ("state", "reason", "conditions"))}


def project_pod(raw: Json) -> Json:
    """A pod without its template: containers by name, image and memory limit."""
    spec = raw.get("spec") or {}
    status = raw.get("status") or {}
    conditions = [
        each for each in status.get("conditions") or () if each.get("type") in _POD_CONDITIONS
    ]
    return {
        **_head(raw),
        "spec": {
            **_pick(spec, ("nodeName",)),
            "initContainers": [_project_container(each) for each in spec.get("initContainers", ())],
            "containers": [_project_container(each) for each in spec.get("containers", ())],
        },
        "status": {**_pick(status, _POD_STATUS), "conditions": conditions},
    }


def _project_container(raw: Mapping[str, Any]) -> Json:
    limits = (raw.get("resources") or {}).get("limits") or {}
    return {
        **_pick(raw, ("name", "image")),
        "resources": {"limits": _pick(limits, ("memory",))},
    }


def _head(raw: Json) -> Json:
    return {
        **_pick(raw, ("apiVersion", "kind")),
        "metadata": _pick(raw.get("metadata"), _METADATA),
    }


def _pick(raw: Mapping[str, Any] | None, names: Iterable[str]) -> Json:
    return {name: raw[name] for name in names if name in raw} if raw else {}
