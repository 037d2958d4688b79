"""The pod templates of a step: head, workers and submitter, all within Pod Security *restricted*.

Volumes are ``volumes.py``'s, variables ``environment.py``'s; what a profile and the job change in
a template comes last, here.
"""

import copy
from dataclasses import dataclass

from controller.kube.api import Json
from controller.launchers.kuberay.environment import (
    head_environment,
    ray_environment,
    shipper_environment,
    submitter_environment,
)
from controller.launchers.kuberay.installation import Installation, PodSize
from controller.launchers.kuberay.labels import attempt_labels
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.merging import merge
from controller.launchers.kuberay.patches import patches_of
from controller.launchers.kuberay.places import (
    DASHBOARD_PORT,
    GCS_PORT,
    LOG_SHIPPER,
    RAY_HEAD,
    RAY_WORKER,
    SUBMITTER,
    TMP_DIR,
)
from controller.launchers.kuberay.sizing import (
    ray_resources,
    shipper_resources,
    size_shared_memory,
    submitter_resources,
)
from controller.launchers.kuberay.volumes import pod_volumes, ray_mounts, shipper_mounts
from distillery.spec.job import DistillationJob
from distillery.spec.runtime import RuntimeSpec

SUBMITTER_SLACK_S = 600
_FOLLOWS_HEAD = (
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "schedulerName",
    "tolerations",
)
"""What the submitter takes from the head's template, for it needs the same image and nodes."""
_NOT_DISTURBED = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A kind of Ray pod: a head (``is_head``) or a worker with ``gpus``."""

    is_head: bool
    size: PodSize
    gpus: int = 0


def build_node_template(launch: Launch, installation: Installation, node: Node) -> Json:
    """A Ray pod's template, with the changes of profile and job in it."""
    template = build_base_template(launch, installation, node)
    for patch in patches_of(launch.job, installation, is_head=node.is_head):
        template = merge(template, patch)
    return size_shared_memory(template)


def build_base_template(launch: Launch, installation: Installation, node: Node) -> Json:
    """A Ray pod's template as it is without changes. The Ray container is the first, where KubeRay
    looks for it."""
    spec: Json = {
        **_pod_settings(launch, installation),
        "serviceAccountName": service_account_of(launch.job, installation),
        "containers": [
            _ray_container(launch, installation, node),
            _log_shipper(launch, installation),
        ],
        "volumes": pod_volumes(launch, has_api_access=node.is_head),
    }
    return {"metadata": _metadata(launch), "spec": spec}


def ray_job_deadline_s(runtime: RuntimeSpec) -> int:
    """KubeRay's limit: its clock starts before the pods have their places, ours when the step
    runs."""
    return runtime.step_deadline_seconds + runtime.unschedulable_seconds


def build_submitter_template(launch: Launch, installation: Installation, *, head: Json) -> Json:
    """The template of the pod that hands the driver to Ray; KubeRay writes its command.

    Args:
        head: The finished template of the head, whose nodes and registry it shares.
    """
    container: Json = {
        "name": SUBMITTER,
        **_image(launch, installation),
        "env": submitter_environment(),
        "resources": submitter_resources(),
        "securityContext": _container_security(installation),
        "volumeMounts": [{"name": "tmp", "mountPath": TMP_DIR}],
    }
    spec: Json = {
        **_pod_settings(launch, installation),
        # After a lost head it would wait for ever, as long as the RayJob is kept.
        "activeDeadlineSeconds": ray_job_deadline_s(launch.job.spec.runtime) + SUBMITTER_SLACK_S,
        **{key: copy.deepcopy(head["spec"][key]) for key in _FOLLOWS_HEAD if key in head["spec"]},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "128Mi"}}],
    }
    return {"metadata": _metadata(launch), "spec": spec}


def service_account_of(job: DistillationJob, installation: Installation) -> str:
    """The identity of a job's pods: its own wish, the installation's, or the one made for it."""
    named = job.spec.runtime.service_account_name or installation.service_account_name
    return named or own_service_account(job)


def own_service_account(job: DistillationJob) -> str:
    """The name of the service account made for a job."""
    return f"{job.metadata.name}-distillery"


def _metadata(launch: Launch) -> Json:
    return {"labels": attempt_labels(launch), "annotations": dict(_NOT_DISTURBED)}


def _pod_settings(launch: Launch, installation: Installation) -> Json:
    settings: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(installation),
    }
    if launch.job.spec.runtime.priority_class_name:
        settings["priorityClassName"] = launch.job.spec.runtime.priority_class_name
    if installation.image_pull_secrets:
        names = installation.image_pull_secrets
        settings["imagePullSecrets"] = [{"name": name} for name in names]
    return settings


def _pod_security(installation: Installation) -> Json:
    security: Json = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if installation.run_as_user is not None:
        security["runAsUser"] = installation.run_as_user
    if installation.fs_group is not None:
        security["fsGroup"] = installation.fs_group
        # A shared model cache may hold millions of files: they are not visited for each pod.
        security["fsGroupChangePolicy"] = "OnRootMismatch"
    return security


def _container_security(installation: Installation) -> Json:
    security: Json = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if installation.read_only_root_filesystem:
        security["readOnlyRootFilesystem"] = True
    return security


def _image(launch: Launch, installation: Installation) -> Json:
    return {"image": launch.image, "imagePullPolicy": installation.image_pull_policy}


def _ray_container(launch: Launch, installation: Installation, node: Node) -> Json:
    if node.is_head:
        name, environment = RAY_HEAD, head_environment(launch)
    else:
        name, environment = RAY_WORKER, ray_environment(launch, has_gpus=node.gpus > 0)
    return {
        "name": name,
        **_image(launch, installation),
        "env": environment,
        "ports": _ports(installation, is_head=node.is_head),
        "resources": ray_resources(
            node.size,
            scratch_gib=launch.job.spec.runtime.scratch_gib,
            gpus=node.gpus,
            gpu_resource=installation.gpu_resource,
        ),
        "securityContext": _container_security(installation),
        "volumeMounts": ray_mounts(launch, has_api_access=node.is_head),
    }


def _ports(installation: Installation, *, is_head: bool) -> list[Json]:
    ports = {"metrics": installation.metrics_port}
    if is_head:
        ports |= {"gcs-server": GCS_PORT, "dashboard": DASHBOARD_PORT}
    return [
        {"name": name, "containerPort": number, "protocol": "TCP"} for name, number in ports.items()
    ]


def _log_shipper(launch: Launch, installation: Installation) -> Json:
    return {
        "name": LOG_SHIPPER,
        **_image(launch, installation),
        "command": ["python", "-m", "ray_jobs.logs"],
        "env": shipper_environment(launch),
        "resources": shipper_resources(),
        "securityContext": _container_security(installation),
        "volumeMounts": shipper_mounts(launch),
    }
