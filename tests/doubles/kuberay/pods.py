"""The pods KubeRay makes of a RayCluster's templates: labels, ``ray start``, variables. Pure."""

from collections.abc import Mapping
from typing import Any

from controller.kube.api import Json
from controller.kube.resources import PODS, RAY_CLUSTERS
from tests.doubles.kuberay.objects import (
    APPLICATION,
    CLUSTER_LABEL,
    CREATOR,
    GROUP_LABEL,
    NODE_TYPE_LABEL,
    owner_of,
)

LINGER = "tests.distillery.dev/node"
"""A finalizer that stands for the time a node takes to end a pod."""


def build_head_pod(cluster: Json, *, suffix: str) -> Json:
    """The head pod of a cluster."""
    group = cluster["spec"]["headGroupSpec"]
    name = f"{cluster['metadata']['name'][:50]}-head-{suffix}"
    pod = _pod(cluster, group["template"], name=name, node_type="head", group="headgroup")
    _start_ray(pod, cluster, "ray start --head", group.get("rayStartParams") or {})
    return pod


def build_worker_pod(cluster: Json, group: Json, *, suffix: str) -> Json:
    """A worker pod of a group. It waits for the head before it starts."""
    prefix = f"{cluster['metadata']['name']}-{group['groupName']}"[:50]
    name = f"{prefix}-worker-{suffix}"
    pod = _pod(cluster, group["template"], name=name, node_type="worker", group=group["groupName"])
    address = head_address(cluster)
    first = pod["spec"]["containers"][0]
    waits = {
        key: first[key] for key in ("image", "imagePullPolicy", "securityContext") if key in first
    }
    pod["spec"]["initContainers"] = [
        *pod["spec"].get("initContainers", ()),
        {
            "name": "wait-gcs-ready",
            **waits,
            "command": ["/bin/bash", "-c", "--"],
            "args": [f"until ray health-check --address {address}:6379; do sleep 5; done"],
            "env": list(first.get("env", ())),
            "volumeMounts": list(first.get("volumeMounts", ())),
            "resources": {
                kind: {"cpu": "200m", "memory": "256Mi"} for kind in ("limits", "requests")
            },
        },
    ]
    params = {"address": f"{address}:6379", **(group.get("rayStartParams") or {})}
    _start_ray(pod, cluster, "ray start", params)
    return pod


def head_address(cluster: Json) -> str:
    """The DNS name of a cluster's head."""
    metadata = cluster["metadata"]
    return f"{metadata['name']}-head-svc.{metadata['namespace']}.svc.cluster.local"


def variables_of(pod: Json) -> dict[str, str]:
    """The Ray container's variables that need nothing but the pod to be known."""
    metadata = pod["metadata"]
    fields = {"metadata.name": metadata["name"], "metadata.namespace": metadata["namespace"]}
    known: dict[str, str] = {}
    for each in pod["spec"]["containers"][0].get("env", ()):
        path = ((each.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath", "")
        if "value" in each:
            known[each["name"]] = each["value"].replace("$$", "$")
        elif path in fields:
            known[each["name"]] = fields[path]
    return known


def _pod(cluster: Json, template: Json, *, name: str, node_type: str, group: str) -> Json:
    own = {
        "ray.io/is-ray-node": "yes",
        CLUSTER_LABEL: cluster["metadata"]["name"],
        NODE_TYPE_LABEL: node_type,
        GROUP_LABEL: group,
        "ray.io/identifier": f"{cluster['metadata']['name']}-{node_type}",
        **APPLICATION,
        **CREATOR,
    }
    metadata: Mapping[str, Any] = template.get("metadata") or {}
    fixed = {key: own[key] for key in (CLUSTER_LABEL, NODE_TYPE_LABEL, GROUP_LABEL)}
    containers = [dict(each) for each in template["spec"]["containers"]]
    return {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": {
            "name": name,
            "namespace": cluster["metadata"]["namespace"],
            "labels": own | (metadata.get("labels") or {}) | fixed,
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_of(cluster, RAY_CLUSTERS.kind)],
        },
        "spec": {**template["spec"], "containers": containers},
    }


def _start_ray(pod: Json, cluster: Json, command: str, params: Mapping[str, str]) -> None:
    """Gives the Ray container KubeRay's command and variables."""
    flags = " ".join(f"--{key}={value}" for key, value in params.items())
    start = f"{command} {flags} --block".replace("  ", " ")
    container = pod["spec"]["containers"][0]
    labels = {"RAY_CLUSTER_NAME": CLUSTER_LABEL, "RAY_NODE_TYPE_NAME": GROUP_LABEL}
    container["command"] = ["/bin/bash", "-c", "--"]
    container["args"] = [f"ulimit -n 65536; {start}"]
    container["env"] = [
        *container.get("env", ()),
        *(_from_field(name, f"metadata.labels['{label}']") for name, label in labels.items()),
        _from_field("RAY_CLUSTER_NAMESPACE", "metadata.namespace"),
        _from_field("RAY_CLOUD_INSTANCE_ID", "metadata.name"),
        {"name": "KUBERAY_GEN_RAY_START_CMD", "value": start},
        *_token_variables(cluster),
    ]


def _token_variables(cluster: Json) -> list[Json]:
    if (cluster["spec"].get("authOptions") or {}).get("mode") != "token":
        return []
    key = {"name": cluster["metadata"]["name"][-50:], "key": "auth_token"}
    return [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": key}},
    ]


def _from_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
