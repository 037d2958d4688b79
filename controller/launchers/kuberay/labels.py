"""Labels and owners: how a job's objects are found again, and whose they are.

``attempt_labels`` is on an attempt's RayJob and pods, ``job_labels`` on what a job has once.
"""

from controller.kube.api import Json
from controller.launchers.kuberay.launch import Launch
from distillery.spec.job import API_VERSION, KIND, DistillationJob

PREFIX = "distillery.dev/"
JOB = f"{PREFIX}job"
STEP = f"{PREFIX}step"
STUDENT = f"{PREFIX}student"
STAGE = f"{PREFIX}stage"
ATTEMPT = f"{PREFIX}attempt"
RUN = f"{PREFIX}run"
RAY_JOB = f"{PREFIX}ray-job"
"""The RayJob's name: its pods are found by it."""
FAILURES_BEFORE = f"{PREFIX}failures-before"
"""Annotation of a RayJob: the step's failures in this run before this attempt, as JSON."""
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "distillery"

KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
SCHEDULER_LABELS = (
    KUEUE_QUEUE,
    "kueue.x-k8s.io/priority-class",
    "kueue.x-k8s.io/max-exec-time-seconds",
    "ray.io/gang-scheduling-enabled",
    "ray.io/priority-class-name",
    "volcano.sh/queue-name",
    "volcano.sh/network-topology-mode",
    "volcano.sh/network-topology-highest-tier-allowed",
    "yunikorn.apache.org/app-id",
    "yunikorn.apache.org/queue",
    "kai.scheduler/queue",
)
"""A job's own labels that a RayJob inherits: Kueue's, and those KubeRay hands to the batch
schedulers it knows."""

RESERVED_PREFIXES = (PREFIX, "ray.io/", "kueue.x-k8s.io/")
RESERVED = (MANAGED_BY, "app.kubernetes.io/name", "app.kubernetes.io/created-by", *SCHEDULER_LABELS)


def is_reserved(key: str) -> bool:
    """Whether a label or annotation is ours, KubeRay's or a queue's."""
    return key.startswith(RESERVED_PREFIXES) or key in RESERVED


def job_labels(job: DistillationJob) -> dict[str, str]:
    """The labels of everything a job owns."""
    return {JOB: job.metadata.name, MANAGED_BY: MANAGER}


def attempt_labels(launch: Launch) -> dict[str, str]:
    """The labels of an attempt's RayJob and of all its pods."""
    step = launch.step
    labels = job_labels(launch.job) | {
        STEP: step.id,
        STAGE: step.stage.value,
        ATTEMPT: str(launch.number),
        RUN: str(launch.run),
        RAY_JOB: launch.name,
    }
    return labels | {STUDENT: step.student} if step.student else labels


def scheduler_labels(job: DistillationJob) -> dict[str, str]:
    """What of the job tells queues and batch schedulers how to treat its RayJobs."""
    labels = {
        key: job.metadata.labels[key] for key in SCHEDULER_LABELS if key in job.metadata.labels
    }
    queue = job.spec.runtime.queue_name
    return labels | {KUEUE_QUEUE: queue} if queue else labels


def owner_reference(job: DistillationJob, uid: str) -> Json:
    """The DistillationJob as the controlling owner: what it owns goes with it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job.metadata.name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
