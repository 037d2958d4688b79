"""What an attempt's objects show now, and what is remembered of what they showed before.

``observing.py`` draws the conclusions. ``Sightings`` live in the controller's memory alone: a
restart begins with none, and so starts every wait anew. Pure.
"""

from dataclasses import dataclass, replace

from controller.kube.api import Json
from controller.launchers.kuberay.blockers import find_blocker
from controller.launchers.kuberay.evidence import Sighting, find_end, more_telling
from controller.launchers.kuberay.pod_views import NodeType, PodView, read_pod
from controller.launchers.kuberay.ray_job_views import RayJobView, read_ray_job
from controller.plan.snapshot import Failure
from distillery.progress import StepRecord


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Now, on two clocks: ``epoch_s`` to show, ``monotonic_s`` to measure by."""

    epoch_s: float
    monotonic_s: float


@dataclass(frozen=True, kw_only=True)
class ChildView:
    """What there is of an attempt in the cluster, each None (or nothing) where it isn't there.

    ``pods`` are all of the attempt's: head, workers, submitter. ``gone_pods``: how pods looked that
    were deleted since; KubeRay deletes a failed one at once, so the cache alone may never show why
    it failed. ``record`` is the step's key of the progress ConfigMap, whoever wrote it.
    ``workload`` is Kueue's, where it is watched. ``is_stopping``: we have asked for the RayJob's
    deletion ourselves.
    """

    ray_job: Json | None = None
    ray_cluster: Json | None = None
    pods: tuple[Json, ...] = ()
    gone_pods: tuple[Json, ...] = ()
    record: StepRecord | None = None
    workload: Json | None = None
    is_stopping: bool = False


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """What was seen of an attempt before. Times are monotonic seconds.

    ``end`` is the most telling abnormal end of a pod, ``blocker`` what kept pods from starting,
    ``is_evicted`` whether Kueue took it back after it had run.
    """

    first_look_s: float | None = None
    saw_ray_job: bool = False
    was_running: bool = False
    is_evicted: bool = False
    head_gone_since_s: float | None = None
    over_since_s: float | None = None
    end: Sighting | None = None
    blocker: Failure | None = None


def look(step: str, child: ChildView, *, before: Sightings, now: Moment) -> Sightings:
    """What is remembered after this look at the attempt's objects."""
    pods = tuple(read_pod(pod) for pod in child.pods)
    all_pods = (*pods, *(read_pod(pod) for pod in child.gone_pods))
    if child.ray_job is None:
        end = find_end(step, all_pods, is_winding_down=True)
        return replace(
            before,
            first_look_s=_since(before.first_look_s, True, now),
            head_gone_since_s=None,
            end=more_telling(before.end, end),
        )
    ray_job = read_ray_job(child.ray_job)
    is_winding_down = ray_job.is_winding_down or child.is_stopping
    is_missing = ray_job.is_running and not is_winding_down and not _has_live_head(pods)
    is_over = ray_job.is_terminal and is_driver_over(ray_job, child)
    end = find_end(step, all_pods, is_winding_down=is_winding_down)
    return Sightings(
        first_look_s=_since(before.first_look_s, True, now),
        saw_ray_job=True,
        was_running=before.was_running or ray_job.is_running,
        is_evicted=ray_job.is_suspended and bool(ray_job.queue) and before.was_running,
        head_gone_since_s=_since(before.head_gone_since_s, is_missing, now),
        over_since_s=_since(before.over_since_s, is_over, now),
        end=more_telling(before.end, end),
        blocker=_blocker(step, ray_job, pods, child, before),
    )


def is_driver_over(ray_job: RayJobView, child: ChildView) -> bool:
    """Whether the driver of a terminal RayJob runs no more: Ray says so, or its head is gone."""
    if ray_job.job_status is not None and ray_job.job_status.is_final:
        return True
    pods = [read_pod(pod) for pod in child.pods]
    return all(pod.has_ended for pod in pods if pod.node_type == NodeType.HEAD)


def is_gone(child: ChildView) -> bool:
    """Whether nothing of the attempt can work any more: no cluster, and no Ray pod but ended ones.

    A submitter whose head is gone waits for it for as long as its RayJob is there, and does no
    harm: the address it waits at is its own cluster's.
    """
    pods = [read_pod(pod) for pod in child.pods]
    ray_pods = [pod for pod in pods if pod.node_type != NodeType.SUBMITTER]
    return child.ray_cluster is None and all(pod.has_ended for pod in ray_pods)


def has_lasted(since_s: float | None, limit_s: float, *, now: Moment) -> bool:
    """Whether what holds since then has held for ``limit_s``."""
    return since_s is not None and now.monotonic_s - since_s >= limit_s


def _blocker(
    step: str,
    ray_job: RayJobView,
    pods: tuple[PodView, ...],
    child: ChildView,
    before: Sightings,
) -> Failure | None:
    """What keeps the pods from starting. It is kept once KubeRay takes them down for it."""
    if ray_job.is_running:
        return None
    if ray_job.is_winding_down:
        return before.blocker
    return find_blocker(step, pods, child.ray_cluster)


def _has_live_head(pods: tuple[PodView, ...]) -> bool:
    return any(pod.is_alive for pod in pods if pod.node_type == NodeType.HEAD)


def _since(before_s: float | None, holds: bool, now: Moment) -> float | None:
    """Since when something holds without a break."""
    if not holds:
        return None
    return now.monotonic_s if before_s is None else before_s
