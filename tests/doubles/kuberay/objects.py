"""The objects KubeRay creates around pods: RayCluster, services, token, submitter Job. Pure."""

import base64

from controller.kube.api import Json
from controller.kube.resources import RAY_CLUSTERS, RAY_JOBS

CREATOR = {"app.kubernetes.io/created-by": "kuberay-operator"}
APPLICATION = {"app.kubernetes.io/name": "kuberay"}
CLUSTER_LABEL = "ray.io/cluster"
NODE_TYPE_LABEL = "ray.io/node-type"
GROUP_LABEL = "ray.io/group"
ORIGIN_NAME_LABEL = "ray.io/originated-from-cr-name"
ORIGIN_KIND_LABEL = "ray.io/originated-from-crd"
RAY_JOB_FINALIZER = "ray.io/rayjob-finalizer"
KEEP_HEAD_DEAD = "ray.io/disable-provisioned-head-restart"
DASHBOARD_PORT = 8265
_PORTS = {"client": 10001, "dashboard": DASHBOARD_PORT, "gcs-server": 6379, "metrics": 8080}


def owner_of(raw: Json, kind: str) -> Json:
    """``raw`` as the controlling owner."""
    return {
        "apiVersion": RAY_JOBS.api_version,
        "kind": kind,
        "name": raw["metadata"]["name"],
        "uid": raw["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def origin_labels(ray_job: Json) -> dict[str, str]:
    """The labels that say which RayJob something came from."""
    return {ORIGIN_NAME_LABEL: ray_job["metadata"]["name"], ORIGIN_KIND_LABEL: "RayJob"}


def build_cluster(ray_job: Json, *, name: str) -> Json:
    """The RayCluster of a RayJob: its labels and annotations are handed on."""
    metadata = ray_job["metadata"]
    mode = ray_job["spec"].get("submissionMode") or "K8sJobMode"
    return {
        "apiVersion": RAY_CLUSTERS.api_version,
        "kind": RAY_CLUSTERS.kind,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                **origin_labels(ray_job),
                "ray.io/job-submission-mode": mode,
            },
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_of(ray_job, RAY_JOBS.kind)],
        },
        "spec": ray_job["spec"]["rayClusterSpec"],
    }


def build_cluster_service(cluster: Json) -> Json:
    """The headless service of a cluster's head."""
    name = cluster["metadata"]["name"]
    return _service(
        cluster,
        name=f"{name}-head-svc",
        labels=_head_selector(name),
        owner=owner_of(cluster, RAY_CLUSTERS.kind),
        cluster=name,
    )


def build_job_service(ray_job: Json, *, cluster: str) -> Json:
    """The headless service of a RayJob's head, whichever cluster it has."""
    name = ray_job["metadata"]["name"]
    labels = {
        **origin_labels(ray_job),
        NODE_TYPE_LABEL: "head",
        "ray.io/identifier": f"{name}-head",
    }
    return _service(
        ray_job,
        name=f"{name}-head-svc",
        labels=labels,
        owner=owner_of(ray_job, RAY_JOBS.kind),
        cluster=cluster,
    )


def build_token(cluster: Json, *, token: str) -> Json:
    """The Secret with the cluster's authentication token, named like the cluster."""
    metadata = cluster["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata["name"][-50:],
            "namespace": metadata["namespace"],
            "labels": {CLUSTER_LABEL: metadata["name"], **CREATOR},
            "ownerReferences": [owner_of(cluster, RAY_CLUSTERS.kind)],
        },
        "data": {"auth_token": base64.b64encode(token.encode()).decode()},
    }


def build_submitter(ray_job: Json) -> Json:
    """The Kubernetes Job, named like the RayJob, whose pod gives the driver to Ray."""
    metadata, spec, status = ray_job["metadata"], ray_job["spec"], ray_job["status"]
    template = spec["submitterPodTemplate"]
    first, *others = template["spec"]["containers"]
    entrypoint = spec["entrypoint"].strip()
    command = (
        f"ray job submit --address http://{status['dashboardURL']} "
        f"--submission-id {status['jobId']} --no-wait -- {entrypoint}"
    )
    variables = {
        "PYTHONUNBUFFERED": "1",
        "RAY_DASHBOARD_ADDRESS": status["dashboardURL"],
        "RAY_JOB_SUBMISSION_ID": status["jobId"],
    }
    given = [{"name": name, "value": value} for name, value in variables.items()]
    container = {
        **first,
        "env": [*first.get("env", ()), *given],
        "command": first.get("command") or ["/bin/bash", "-ce", "--"],
        "args": first.get("args") or [command],
    }
    labels = {**origin_labels(ray_job), **CREATOR}
    pod_labels = {**(template.get("metadata", {}).get("labels") or {}), **labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner_of(ray_job, RAY_JOBS.kind)],
        },
        "spec": {
            "backoffLimit": (spec.get("submitterConfig") or {}).get("backoffLimit", 2),
            "template": {
                "metadata": {**template.get("metadata", {}), "labels": pod_labels},
                "spec": {**template["spec"], "containers": [container, *others]},
            },
        },
    }


def _service(owner_object: Json, *, name: str, labels: Json, owner: Json, cluster: str) -> Json:
    ports = [
        {"name": each, "port": number, "appProtocol": "tcp"} for each, number in _PORTS.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": owner_object["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": _head_selector(cluster),
            "ports": ports,
        },
    }


def _head_selector(cluster: str) -> dict[str, str]:
    return {
        CLUSTER_LABEL: cluster,
        NODE_TYPE_LABEL: "head",
        "ray.io/identifier": f"{cluster}-head",
        **APPLICATION,
        **CREATOR,
    }
