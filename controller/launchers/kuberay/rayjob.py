"""The RayJob of an attempt: the whole object, ready to be created.

KubeRay makes a Ray cluster of it, has the driver submitted once, and takes the cluster down; all
retries are the planner's.
"""

from controller.kube.api import Json
from controller.kube.resources import RAY_JOBS
from controller.launchers.kuberay.groups import Layout, WorkerGroup, layout_of
from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.labels import attempt_labels, owner_reference, scheduler_labels
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.pods import (
    Node,
    build_node_template,
    build_submitter_template,
    ray_job_deadline_s,
)
from controller.launchers.kuberay.problems import find_runtime_problems
from controller.launchers.kuberay.sizing import cpus_of
from distillery.errors import SpecError

NO_SECOND_HEAD = "ray.io/disable-provisioned-head-restart"
"""KubeRay hands a RayJob's annotations on to its cluster. Without this one a lost head comes again,
and the submitter gives it the driver a second time inside one attempt."""

_SUBMITTER_RETRIES = 2
"""The submitter may fail and attach again; it finds the driver submitted."""


def build_ray_job(launch: Launch, installation: Installation) -> Json:
    """The RayJob of ``launch``.

    Raises:
        SpecError: The job can't be run this way (``find_runtime_problems``), or the step's config
            is too long.
    """
    if problems := find_runtime_problems(launch.job, installation):
        raise SpecError.from_problems(problems)
    return {
        "apiVersion": RAY_JOBS.api_version,
        "kind": RAY_JOBS.kind,
        "metadata": {
            "name": launch.name,
            "namespace": launch.job.metadata.namespace,
            "labels": scheduler_labels(launch.job) | attempt_labels(launch),
            "annotations": {NO_SECOND_HEAD: "true"},
            "ownerReferences": [owner_reference(launch.job, launch.uid)],
        },
        "spec": _spec(launch, installation),
    }


def _spec(launch: Launch, installation: Installation) -> Json:
    runtime = launch.job.spec.runtime
    cluster = _cluster(launch, installation)
    head = cluster["headGroupSpec"]["template"]
    return {
        "submissionMode": "K8sJobMode",
        "jobId": launch.name,
        # Without exec a shell stands between Ray and the step, and may outlive it.
        "entrypoint": f"exec python -m ray_jobs.{launch.step.stage}",
        "metadata": _driver_metadata(launch),
        "backoffLimit": 0,
        "submitterConfig": {"backoffLimit": _SUBMITTER_RETRIES},
        "submitterPodTemplate": build_submitter_template(launch, installation, head=head),
        "shutdownAfterJobFinishes": True,
        "preRunningDeadlineSeconds": runtime.unschedulable_seconds,
        "activeDeadlineSeconds": ray_job_deadline_s(runtime),
        "rayClusterSpec": cluster,
    }


def _driver_metadata(launch: Launch) -> dict[str, str]:
    """What Ray's dashboard shows. KubeRay passes it through a shell: names and numbers only."""
    metadata = launch.job.metadata
    return {
        "job_name": f"{metadata.name} {launch.step.id} attempt {launch.number}",
        "job": metadata.name,
        "namespace": metadata.namespace,
        "stage": launch.step.stage.value,
        "step": launch.step.id,
        "attempt": str(launch.number),
    }


def _cluster(launch: Launch, installation: Installation) -> Json:
    layout = layout_of(launch.step, launch.job.spec, installation)
    return {
        "rayVersion": installation.ray_version,
        "authOptions": {"mode": "token"},
        "headGroupSpec": _head(launch, installation, layout),
        "workerGroupSpecs": [_group(launch, installation, group) for group in layout.groups],
    }


def _head(launch: Launch, installation: Installation, layout: Layout) -> Json:
    node = Node(is_head=True, size=layout.head)
    template = build_node_template(launch, installation, node)
    cpus = max(layout.head_cpus, cpus_of(template)) if layout.head_cpus else 0
    return {
        "rayStartParams": _start_params(installation, cpus=cpus, gpus=0),
        "template": template,
    }


def _group(launch: Launch, installation: Installation, group: WorkerGroup) -> Json:
    """The three replica counts are equal: nothing scales, so Kueue knows what it admits."""
    node = Node(is_head=False, size=group.size, gpus=group.gpus)
    template = build_node_template(launch, installation, node)
    cpus = max(group.size.cpus, cpus_of(template))
    return {
        "groupName": group.name,
        "replicas": group.replicas,
        "minReplicas": group.replicas,
        "maxReplicas": group.replicas,
        "numOfHosts": group.hosts,
        "rayStartParams": _start_params(installation, cpus=cpus, gpus=group.gpus),
        "template": template,
    }


def _start_params(installation: Installation, *, cpus: int, gpus: int) -> dict[str, str]:
    """What Ray is told to have, rather than what it finds on the node. A step that asks Ray for
    more CPUs than its pod has shares them; without the number it would wait for ever."""
    return {
        "num-cpus": str(cpus),
        "num-gpus": str(gpus),
        "metrics-export-port": str(installation.metrics_port),
    }
