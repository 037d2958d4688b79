"""Failures that are nobody's record: the head is missing, the RayJob is gone. See ``evidence.py``
for what pods tell and ``ray_job_views.py`` for what KubeRay tells."""

from controller.launchers.kuberay.evidence import EvidenceReason
from controller.launchers.kuberay.ray_job_views import RayJobView
from controller.launchers.kuberay.wording import phrase
from controller.plan.snapshot import Attempt, Failure, FailureKind


def head_lost(step: str, ray_job: RayJobView) -> Failure:
    """The failure of a running attempt whose head pod is missing."""
    return Failure(
        reason=EvidenceReason.HEAD_LOST,
        message=phrase(
            f"{step}: RayJob {ray_job.name}",
            "has no live head pod",
            got=f"{ray_job.deployment_status} from KubeRay",
            way_out="it is stopped and tried again; see who deleted the pod",
        ),
        retriable=True,
    )


def child_deleted(attempt: Attempt) -> Failure:
    """The failure of an attempt whose RayJob somebody deleted."""
    return Failure(
        reason=EvidenceReason.CHILD_DELETED,
        message=phrase(
            f"{attempt.step}: RayJob {attempt.submission_id}",
            "was deleted by somebody else",
            got="none",
            way_out="the step is tried again; to stop a job set spec.suspend",
        ),
        retriable=True,
    )


def evicted_by_queue(attempt: Attempt) -> Failure:
    """The failure of an attempt that Kueue took back and that is gone since."""
    return Failure(
        reason=EvidenceReason.PREEMPTED,
        message=phrase(
            f"{attempt.step}: RayJob {attempt.submission_id}",
            "was evicted by Kueue, and is gone",
            got="none",
            way_out="the step is tried again and goes on from what is stored",
        ),
        retriable=True,
        kind=FailureKind.PREEMPTION,
    )
