"""A RayJob as KubeRay keeps it, read once, and what its own reason for failing means.

Judging whether an attempt is over is ``observing.py``'s; pods tell more, in ``evidence.py``. Pure.
"""

from dataclasses import dataclass

from controller.kube.api import Json
from controller.launchers.kuberay.evidence import EvidenceReason
from controller.launchers.kuberay.labels import KUEUE_QUEUE
from controller.launchers.kuberay.wording import phrase
from controller.plan.snapshot import Failure, FailureKind, RayStatus
from distillery.conditions import Reason

VALIDATION_FAILED = "ValidationFailed"
_TERMINAL = ("Complete", "Failed", VALIDATION_FAILED)
_SUSPENDED = ("Suspending", "Suspended")


@dataclass(frozen=True, kw_only=True)
class RayJobView:
    """One RayJob. ``job_status`` is Ray's, None before there is a Ray job; ``deployment_status`` is
    KubeRay's, empty before it has taken notice. ``queue`` is the Kueue queue that admits it."""

    name: str
    job_status: RayStatus | None
    deployment_status: str
    reason: str
    message: str
    dashboard_url: str
    queue: str
    is_suspended: bool
    is_deleting: bool
    deadline_s: int
    pending_deadline_s: int

    @property
    def is_terminal(self) -> bool:
        """Whether KubeRay does nothing more for it, but take its cluster down."""
        return self.deployment_status in _TERMINAL

    @property
    def is_running(self) -> bool:
        """Whether KubeRay has its cluster up and its driver submitted."""
        return self.deployment_status == "Running"

    @property
    def is_decided_by_kuberay(self) -> bool:
        """Whether KubeRay itself ended it, so that its pods' ends are consequences."""
        return self.deployment_status == VALIDATION_FAILED or self.reason == "DeadlineExceeded"

    @property
    def is_winding_down(self) -> bool:
        """Whether its pods are to go."""
        return self.is_terminal or self.is_deleting or self.is_suspended


def read_ray_job(raw: Json) -> RayJobView:
    """The RayJob, read."""
    metadata, spec, status = (raw.get(part) or {} for part in ("metadata", "spec", "status"))
    job_status = status.get("jobStatus") or ""
    url = status.get("dashboardURL") or ""
    deployment_status = status.get("jobDeploymentStatus") or ""
    return RayJobView(
        name=metadata["name"],
        job_status=RayStatus(job_status) if job_status in set(RayStatus) else None,
        deployment_status=deployment_status,
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        dashboard_url=url if not url or "://" in url else f"http://{url}",
        queue=(metadata.get("labels") or {}).get(KUEUE_QUEUE, ""),
        is_suspended=bool(spec.get("suspend")) or deployment_status in _SUSPENDED,
        is_deleting="deletionTimestamp" in metadata,
        deadline_s=spec.get("activeDeadlineSeconds") or 0,
        pending_deadline_s=spec.get("preRunningDeadlineSeconds") or 0,
    )


def failure_of_ray_job(step: str, ray_job: RayJobView, *, blocker: Failure | None) -> Failure:
    """Why a RayJob ended without success, by what KubeRay says.

    Args:
        blocker: What kept its pods from starting, as far as it was seen.
    """
    if ray_job.deployment_status == VALIDATION_FAILED:
        return _invalid(step, ray_job)
    match ray_job.reason:
        case "DeadlineExceeded":
            return _too_long(step, ray_job)
        case "PreRunningDeadlineExceeded":
            return blocker or _no_place(step, ray_job)
        case "SubmissionFailed":
            return _not_submitted(step, ray_job)
        case "JobStatusCheckTimeoutExceeded":
            return _unreachable(step, ray_job)
    return _died(step, ray_job)


def _invalid(step: str, ray_job: RayJobView) -> Failure:
    return Failure(
        reason=EvidenceReason.CHILD_INVALID,
        message=phrase(
            f"{step}: RayJob {ray_job.name}",
            "is refused by KubeRay",
            got=f"'{ray_job.message}'",
            way_out="see spec.runtime and KubeRay's version",
        ),
        retriable=False,
    )


def _too_long(step: str, ray_job: RayJobView) -> Failure:
    return Failure(
        reason=EvidenceReason.DEADLINE_EXCEEDED,
        message=phrase(
            step,
            "ran longer than an attempt may",
            got=f"a limit of {ray_job.deadline_s} s",
            way_out="raise spec.runtime.stepDeadlineSeconds",
        ),
        retriable=True,
    )


def _no_place(step: str, ray_job: RayJobView) -> Failure:
    return Failure(
        reason=EvidenceReason.UNSCHEDULABLE,
        message=phrase(
            step,
            "its pods were not all running in time",
            got=f"a limit of {ray_job.pending_deadline_s} s",
            way_out="see the pods' events, or raise spec.runtime.unschedulableSeconds",
        ),
        retriable=True,
        kind=FailureKind.UNSCHEDULABLE,
    )


def _not_submitted(step: str, ray_job: RayJobView) -> Failure:
    return Failure(
        reason=EvidenceReason.SUBMISSION_FAILED,
        message=phrase(
            f"{step}: RayJob {ray_job.name}",
            "its submitter failed",
            got=f"'{ray_job.message}'",
            way_out="see the log of the submitter's pod",
        ),
        retriable=True,
    )


def _unreachable(step: str, ray_job: RayJobView) -> Failure:
    return Failure(
        reason=EvidenceReason.HEAD_LOST,
        message=phrase(
            f"{step}: RayJob {ray_job.name}",
            "its Ray head no longer answers KubeRay",
            got=f"'{ray_job.message}'",
            way_out="see the head's log and the network policies",
        ),
        retriable=True,
    )


def _died(step: str, ray_job: RayJobView) -> Failure:
    status = ray_job.job_status or ray_job.deployment_status
    words = ray_job.message or ray_job.reason
    return Failure(
        reason=Reason.DRIVER_DIED,
        message=phrase(
            step,
            "its process ended without a word of its own",
            got=f"{status} '{words}'" if words else status,
            way_out="see its log; out of memory is the usual cause",
        ),
        retriable=True,
    )
