"""What has become of an attempt that runs as a RayJob: ``observe`` its objects, get the attempt.

Pure: what must be remembered between two looks (how long the head has been missing, the first pod
that died) goes in and out as ``Sightings``; a restart begins with none. Reading the API server, and
what follows from an attempt's end, are others' business (``controller.runtime``,
``controller.plan``).
"""

from typing import Any

from controller.launchers.kuberay.endings import child_deleted, evicted_by_queue, head_lost
from controller.launchers.kuberay.pod_views import NodeType
from controller.launchers.kuberay.ray_job_views import (
    RayJobView,
    failure_of_ray_job,
    read_ray_job,
)
from controller.launchers.kuberay.sightings import (
    ChildView,
    Moment,
    Sightings,
    has_lasted,
    is_driver_over,
    is_gone,
    look,
)
from controller.launchers.kuberay.waiting import words_of_wait
from controller.plan.snapshot import Attempt, Failure, RayStatus
from distillery.progress import Outcome, OutcomeState, StepRecord

HEAD_LOST_S = 30.0
"""A running attempt without a live head for so long is lost, though KubeRay may go on saying
Running (kuberay#3860)."""
OUTCOME_GRACE_S = 10.0
"""The driver reports before it ends, but through another object: its word may be seen later."""
ARRIVAL_GRACE_S = 30.0
"""A RayJob just created may not be in the cache yet."""


def observe(
    attempt: Attempt, child: ChildView, *, sightings: Sightings, now: Moment
) -> tuple[Attempt, Sightings]:
    """The attempt as it is now, and what to remember for the next look.

    It is live while its RayJob is, or any of its pods where the RayJob is gone; once KubeRay is
    done with it and its last word can be expected no more, it has ended. ``lingers`` then says
    whether its cluster or pods are still there.
    """
    if not attempt.is_live:
        return _with(attempt, lingers=not is_gone(child), waits_for="", dashboard_url=""), sightings
    ray_job = read_ray_job(child.ray_job) if child.ray_job is not None else None
    seen = look(attempt.step, child, before=sightings, now=now)
    attempt = _hear(attempt, child.record)
    if ray_job is None:
        return _observe_absent(attempt, child, seen, now), seen
    if ray_job.is_terminal:
        return _observe_terminal(attempt, ray_job, child, seen, now), seen
    return _observe_going(attempt, ray_job, child, seen, now), seen


def _hear(attempt: Attempt, record: StepRecord | None) -> Attempt:
    """The attempt with what its own driver said. The fence: another attempt, or another submission
    under the same number, has no say."""
    if record is None or record.attempt != attempt.number:
        return attempt
    if record.submission_id != attempt.submission_id:
        return attempt
    return _with(attempt, progress=record.progress or attempt.progress, outcome=record.outcome)


def _observe_going(
    attempt: Attempt, ray_job: RayJobView, child: ChildView, seen: Sightings, now: Moment
) -> Attempt:
    evidence = attempt.evidence
    if evidence is None and has_lasted(seen.head_gone_since_s, HEAD_LOST_S, now=now):
        of_head = seen.end is not None and seen.end.node_type == NodeType.HEAD
        evidence = seen.end.failure if seen.end and of_head else head_lost(attempt.step, ray_job)
    runs = ray_job.is_running and not ray_job.is_winding_down
    # A final status of Ray's is told once KubeRay has followed: until then words may be missing.
    status = ray_job.job_status or RayStatus.PENDING
    wait = words_of_wait(
        attempt.step,
        ray_job,
        blocker=seen.blocker,
        workload=child.workload,
        is_evicted=seen.is_evicted,
        is_overlooked=has_lasted(seen.first_look_s, ARRIVAL_GRACE_S, now=now),
    )
    return _with(
        attempt,
        ray_status=RayStatus.RUNNING if status.is_final else status,
        evidence=evidence,
        waits_for=wait,
        dashboard_url=ray_job.dashboard_url if runs else "",
    )


def _observe_terminal(
    attempt: Attempt,
    ray_job: RayJobView,
    child: ChildView,
    seen: Sightings,
    now: Moment,
) -> Attempt:
    attempt = _with(attempt, waits_for="", dashboard_url="")
    if not is_driver_over(ray_job, child):
        return _with(attempt, ray_status=RayStatus.RUNNING)
    may_speak = attempt.outcome is None and ray_job.job_status is not None
    if may_speak and not has_lasted(seen.over_since_s, OUTCOME_GRACE_S, now=now):
        return _with(attempt, ray_status=RayStatus.RUNNING)
    status = ray_job.job_status
    if status is None or not status.is_final:
        status = RayStatus.FAILED
    return _with(
        attempt,
        ray_status=status,
        ended_at=now.epoch_s,
        evidence=_evidence(attempt, ray_job, status, seen),
        lingers=not is_gone(child),
    )


def _observe_absent(attempt: Attempt, child: ChildView, seen: Sightings, now: Moment) -> Attempt:
    """The attempt whose RayJob isn't there: not yet, deleted by us, or by somebody else."""
    attempt = _with(attempt, waits_for="", dashboard_url="")
    is_new = not seen.saw_ray_job and not child.is_stopping
    if is_new and not has_lasted(seen.first_look_s, ARRIVAL_GRACE_S, now=now):
        return attempt
    if not is_gone(child):
        return attempt
    if _has_succeeded(attempt.outcome):
        # It committed its manifest: a finished step isn't run again for want of its RayJob.
        return _with(attempt, ray_status=RayStatus.SUCCEEDED, ended_at=now.epoch_s, evidence=None)
    evidence = attempt.evidence
    if evidence is None and not child.is_stopping:
        evidence = evicted_by_queue(attempt) if seen.is_evicted else child_deleted(attempt)
    return _with(attempt, ray_status=RayStatus.STOPPED, ended_at=now.epoch_s, evidence=evidence)


def _evidence(
    attempt: Attempt, ray_job: RayJobView, status: RayStatus, seen: Sightings
) -> Failure | None:
    """How the cluster saw the attempt fail; None where Ray says that it succeeded."""
    if status == RayStatus.SUCCEEDED:
        return None
    if attempt.evidence is not None or status == RayStatus.STOPPED:
        return attempt.evidence
    told = failure_of_ray_job(attempt.step, ray_job, blocker=seen.blocker)
    if ray_job.is_decided_by_kuberay:
        return told
    if seen.end is not None:
        return seen.end.failure
    has_spoken = attempt.outcome is not None and attempt.outcome.state == OutcomeState.FAILED
    return None if has_spoken else told


def _has_succeeded(outcome: Outcome | None) -> bool:
    return (
        outcome is not None
        and outcome.state == OutcomeState.SUCCEEDED
        and outcome.manifest is not None
    )


def _with(attempt: Attempt, **changes: Any) -> Attempt:
    return attempt.model_copy(update=changes)
