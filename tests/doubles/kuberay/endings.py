"""When KubeRay gives a RayJob up, and with which reason: status changes from what is there. Pure."""

from datetime import UTC, datetime

from controller.kube.api import Json
from controller.plan.snapshot import RayStatus
from tests.doubles.kuberay.behaviour import Timing


def timestamp(now_s: float) -> str:
    """A moment as objects carry it."""
    return datetime.fromtimestamp(now_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """A timestamp as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def failed(reason: str, message: str, now_s: float) -> Json:
    """The status of a RayJob that failed now."""
    return {
        "jobDeploymentStatus": "Failed",
        "reason": reason,
        "message": message,
        "endTime": timestamp(now_s),
        "failed": 1,
    }


def find_early_end(ray_job: Json, now_s: float) -> Json:
    """What stops a RayJob that doesn't run yet; empty if nothing does."""
    limits = {
        "activeDeadlineSeconds": "DeadlineExceeded",
        "preRunningDeadlineSeconds": "PreRunningDeadlineExceeded",
    }
    return _suspension(ray_job) or _deadline(ray_job, limits, now_s)


def find_late_end(ray_job: Json, timing: Timing, now_s: float) -> Json:
    """What stops a RayJob that runs, whatever its driver does; empty if nothing does."""
    return (
        _suspension(ray_job)
        or _deadline(ray_job, {"activeDeadlineSeconds": "DeadlineExceeded"}, now_s)
        or _past_grace(ray_job, timing.transition_grace_s, now_s)
        or _unreachable(ray_job, timing.status_check_timeout_s, now_s)
    )


def find_finish(submitter: Json | None) -> Json | None:
    """The condition with which a submitter Job has finished."""
    conditions = ((submitter or {}).get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] in ("Complete", "Failed")), None)


def find_end_by_submitter(
    ray_job: Json, finished: Json | None, timing: Timing, now_s: float
) -> Json:
    """What the end of the submitter means for the RayJob; empty: nothing yet."""
    if finished is None:
        return {}
    limit_s = timing.submitter_finished_timeout_s
    if now_s >= seconds(finished["lastTransitionTime"]) + limit_s:
        message = f"The submitter finished but the Ray job did not end within {limit_s:g}s"
        reason = "JobDeploymentStatusTransitionGracePeriodExceeded"
        return {**failed(reason, message, now_s), "jobStatus": RayStatus.FAILED.value}
    if finished["type"] != "Failed":
        return {}
    if ray_job["status"].get("jobStatus") == RayStatus.FAILED:
        return failed("AppFailed", ray_job["status"].get("message", ""), now_s)
    why = f"Reason: {finished.get('reason', '')}. Message: {finished.get('message', '')}"
    return failed("SubmissionFailed", f"Job submission has failed. {why}", now_s)


def _suspension(ray_job: Json) -> Json:
    return {"jobDeploymentStatus": "Suspending"} if ray_job["spec"].get("suspend") else {}


def _deadline(ray_job: Json, limits: dict[str, str], now_s: float) -> Json:
    spec, start = ray_job["spec"], ray_job["status"]["startTime"]
    for field, reason in limits.items():
        if field in spec and now_s >= seconds(start) + spec[field]:
            message = f"The RayJob has passed the {field}. StartTime: {start}. Limit: {spec[field]}"
            return failed(reason, message, now_s)
    return {}


def _past_grace(ray_job: Json, grace_s: float, now_s: float) -> Json:
    """Ray's job ended, but its submitter didn't."""
    status = ray_job["status"]
    end = (status.get("rayJobInfo") or {}).get("endTime")
    if end is None or now_s < seconds(end) + grace_s:
        return {}
    has_failed = status["jobStatus"] == RayStatus.FAILED
    return {
        "jobDeploymentStatus": "Failed" if has_failed else "Complete",
        "reason": "JobDeploymentStatusTransitionGracePeriodExceeded",
        "endTime": timestamp(now_s),
    }


def _unreachable(ray_job: Json, limit_s: float, now_s: float) -> Json:
    since = ray_job["status"].get("jobStatusCheckFailureStartTime")
    if since is None or now_s < seconds(since) + limit_s:
        return {}
    message = f"Job status checks have been failing since {since}; exceeded timeout of {limit_s:g}s"
    return failed("JobStatusCheckTimeoutExceeded", message, now_s)
