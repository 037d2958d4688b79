"""Tells the user what the planner judged: the typed status, built anew each time. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from controller.plan.judgement import Judged, Judgement, count_failures, failure_of
from controller.plan.snapshot import Attempt, Cluster, Failure, RayStatus, Snapshot
from distillery.conditions import STAGE_CONDITIONS, ConditionStatus, ConditionType, Reason
from distillery.errors import DistilleryError
from distillery.progress import Progress
from distillery.results_summary import unpack_results
from distillery.status import (
    MAX_STATUS_MESSAGE_CHARS,
    Condition,
    JobStatus,
    ResultsStatus,
    StageStatus,
    StatusSummary,
    StepFailures,
    StepState,
)
from distillery.steps import PUBLISH, Stage, Step

_Verdict = tuple[ConditionStatus, str, str]


def build_status(snapshot: Snapshot, judgement: Judgement, now: float) -> JobStatus:
    """The status of the job as judged. Conditions keep the time of their last change."""
    stages = tuple(_stage_status(each, snapshot) for each in judgement.steps.values())
    verdicts: dict[ConditionType, _Verdict] = {
        ConditionType.ACCEPTED: (ConditionStatus.TRUE, Reason.VALID, "")
    }
    for stage, kind in STAGE_CONDITIONS.items():
        verdicts[kind] = _stage_verdict([each for each in stages if each.stage == stage])
    verdicts[ConditionType.SUCCEEDED] = _succeeded(stages, judgement, snapshot)
    verdicts[ConditionType.FINISHED] = (
        (ConditionStatus.TRUE, Reason.DONE, "")
        if judgement.is_over and not snapshot.live
        else (ConditionStatus.FALSE, Reason.RUNNING, "")
    )
    if snapshot.cluster is None:
        conditions = _conditions(verdicts, snapshot.previous, now)
        return JobStatus(conditions=conditions, stages=stages)
    verdicts |= _cluster_verdicts(snapshot, snapshot.cluster)
    results = _results(snapshot, judgement)
    if snapshot.job.spec.evaluation.promote_if is not None and results and results.metric:
        verdicts[ConditionType.PROMOTED] = _promoted(results)
    return JobStatus(
        observed_generation=snapshot.cluster.generation,
        conditions=_conditions(verdicts, snapshot.previous, now),
        summary=_summary(stages, snapshot, verdicts[ConditionType.SUCCEEDED]),
        runtime=snapshot.cluster.runtime,
        stages=stages,
        estimate=judgement.estimate or (snapshot.previous.estimate if snapshot.previous else None),
        results=results,
    )


def rejected_status(
    previous: JobStatus | None, *, generation: int, reason: str, message: str, now: float
) -> JobStatus:
    """The status of a job that can't be carried out as it is written: nothing is started."""
    verdicts: dict[ConditionType, _Verdict] = {
        ConditionType.ACCEPTED: (ConditionStatus.FALSE, reason, _short(message)),
        ConditionType.SUCCEEDED: (ConditionStatus.FALSE, reason, _short(message)),
        ConditionType.FINISHED: (ConditionStatus.FALSE, reason, ""),
    }
    base = previous or JobStatus()
    return base.model_copy(
        update={
            "observed_generation": generation,
            "conditions": _conditions(verdicts, previous, now),
            "summary": StatusSummary(message=_short(message)),
        }
    )


def _cluster_verdicts(snapshot: Snapshot, cluster: Cluster) -> dict[ConditionType, _Verdict]:
    waits_for = next((each.waits_for for each in snapshot.live if each.waits_for), "")
    if cluster.queue:
        admitted = (ConditionStatus.FALSE, Reason.THROTTLED, _short(cluster.queue))
    elif snapshot.suspended:
        admitted = (ConditionStatus.FALSE, Reason.SUSPENDED, "spec.suspend is true")
    elif waits_for:
        admitted = (ConditionStatus.FALSE, Reason.QUEUED, _short(waits_for))
    else:
        admitted = (ConditionStatus.TRUE, Reason.ADMITTED, "")
    trouble = cluster.trouble
    degraded = (
        (ConditionStatus.TRUE, trouble.reason, _short(trouble.message))
        if trouble
        else (ConditionStatus.FALSE, Reason.HEALTHY, "")
    )
    return {ConditionType.ADMITTED: admitted, ConditionType.DEGRADED: degraded}


def _summary(
    stages: Sequence[StageStatus], snapshot: Snapshot, succeeded: _Verdict
) -> StatusSummary:
    """The step that speaks for the job now: one that runs, else waits to be tried again, else the
    last that failed, else the next to come."""
    order = (StepState.RUNNING, StepState.BACKING_OFF, StepState.FAILED, StepState.WAITING)
    speaks = next((each for state in order for each in stages if each.state == state), None)
    spec = snapshot.job.spec
    evaluated = sum(each.state == StepState.DONE for each in stages if each.stage == Stage.EVALUATE)
    progress = speaks.progress if speaks else None
    if speaks is None and snapshot.job.spec.students:
        stage, percentage = "", "100%"
    else:
        stage = speaks.step if speaks else ""
        percentage = f"{_percentage(progress)}%" if progress and progress.total else ""
    return StatusSummary(
        stage=stage,
        progress=percentage,
        teacher=spec.teacher.model.uri.rstrip("/").rpartition("/")[2][:64],
        students=f"{evaluated}/{len(spec.students)}",
        ray_job=speaks.ray_job_name if speaks else "",
        message=(speaks.message if speaks else "") or succeeded[2],
    )


def _promoted(results: ResultsStatus) -> _Verdict:
    if not results.promoted:
        return (
            ConditionStatus.FALSE,
            Reason.RULE_NOT_HELD,
            "evaluation.promoteIf held for no student",
        )
    return ConditionStatus.TRUE, Reason.RULE_HELD, _short(", ".join(results.promoted))


def _percentage(progress: Progress) -> int:
    return min(100, int(100 * progress.done / progress.total))


def _results(snapshot: Snapshot, judgement: Judgement) -> ResultsStatus | None:
    """What publish made: its place, and the figures where it ran in this run."""
    manifest = judgement.known.manifests.get(PUBLISH.id)
    if manifest is None:
        return None
    root = f"{snapshot.job.spec.storage.uri.rstrip('/')}/{manifest.prefix}"
    found = ResultsStatus()
    for attempt in snapshot.attempts:
        if attempt.is_of(PUBLISH) and attempt.outcome is not None and attempt.outcome.summary:
            found = unpack_results(attempt.outcome.summary) or found
    return found.model_copy(
        update={"checkpoint_uri": f"{root}/models", "report_uri": f"{root}/report.html"}
    )


def with_broken_step(
    status: JobStatus, step: Step, error: DistilleryError, now: float
) -> JobStatus:
    """``status`` with ``step`` failed for good by a fault of the controller's own."""
    stages = tuple(
        each.model_copy(
            update={
                "state": StepState.FAILED,
                "reason": error.reason,
                "message": _short(error.message),
            }
        )
        if each.step == step.id
        else each
        for each in status.stages
    )
    message = _short(f"{step.id}: {error.message}")
    verdicts: dict[ConditionType, _Verdict] = {
        ConditionType.SUCCEEDED: (ConditionStatus.FALSE, error.reason, message),
        ConditionType.FINISHED: (ConditionStatus.TRUE, error.reason, message),
    }
    changed = {each.type: each for each in _conditions(verdicts, status, now)}
    conditions = tuple(changed.get(each.type, each) for each in status.conditions)
    return JobStatus(conditions=conditions, stages=stages)


def _stage_status(judged: Judged, snapshot: Snapshot) -> StageStatus:
    attempts = snapshot.attempts_of(judged.step)
    # Of a step that hasn't begun in this run, the run before is told: numbers are never reset.
    last = attempts[-1] if attempts else snapshot.last_of_former_runs(judged.step)
    in_cluster = snapshot.cluster is not None
    failed = [found for each in attempts if (found := _told_failure(judged, each)) is not None]
    failure = _told_failure(judged, last) if last and in_cluster else None
    return StageStatus(
        stage=judged.step.stage,
        student=judged.step.student,
        state=judged.state,
        attempt=last.number if last else 0,
        ray_job_name=last.submission_id if last else "",
        start_time=_time(last.started_at) if last else None,
        end_time=_time(last.ended_at) if last and last.ended_at is not None else None,
        reason=judged.reason,
        message=_short(judged.message),
        progress=last.progress if last else None,
        dashboard_url=last.dashboard_url if last and last.is_live else "",
        run=int(last.run) if last and in_cluster else 0,
        failures=count_failures(attempts, failed) if in_cluster else StepFailures(),
        failure_kind=failure.kind if failure else "",
        retriable=failure.retriable if failure else False,
    )


def _told_failure(judged: Judged, attempt: Attempt) -> Failure | None:
    """How the attempt failed, or why it is being stopped; None while all is well, and where it was
    stopped for no fault of its own: by a suspension, or for another student's failure."""
    if attempt.is_live:
        return attempt.evidence
    was_stopped = attempt.ray_status == RayStatus.STOPPED and attempt.evidence is None
    if judged.state == StepState.WAITING or (judged.state == StepState.SKIPPED and was_stopped):
        return None
    return failure_of(attempt)


def _stage_verdict(stages: Sequence[StageStatus]) -> _Verdict:
    failed = [each for each in stages if each.state in (StepState.FAILED, StepState.SKIPPED)]
    if failed:
        first = failed[0]
        return ConditionStatus.FALSE, first.reason, _short(f"{first.step}: {first.message}")
    if all(each.state == StepState.DONE for each in stages):
        return ConditionStatus.TRUE, Reason.DONE, ""
    if all(each.state in (StepState.DONE, StepState.WAITING) for each in stages):
        return ConditionStatus.UNKNOWN, Reason.WAITING, ""
    busy = next(each for each in stages if each.state in (StepState.RUNNING, StepState.BACKING_OFF))
    reason = Reason.BACKING_OFF if busy.state == StepState.BACKING_OFF else Reason.RUNNING
    return ConditionStatus.UNKNOWN, reason, _short(busy.message)


def _succeeded(stages: Sequence[StageStatus], judgement: Judgement, snapshot: Snapshot) -> _Verdict:
    if all(each.state == StepState.DONE for each in stages):
        return ConditionStatus.TRUE, Reason.DONE, ""
    if not judgement.is_over or snapshot.live:
        return ConditionStatus.UNKNOWN, Reason.RUNNING, ""
    names = ", ".join(judgement.known.failed_students)
    whole = next((each for each in judgement.failed if not each.step.student), None)
    if whole is None:
        return ConditionStatus.FALSE, Reason.STUDENTS_FAILED, _short(f"failed students: {names}")
    return ConditionStatus.FALSE, whole.reason, _short(f"{whole.step.id}: {whole.message}")


def _conditions(
    verdicts: dict[ConditionType, _Verdict], previous: JobStatus | None, now: float
) -> tuple[Condition, ...]:
    conditions = []
    for kind, (status, reason, message) in verdicts.items():
        before = previous.condition(kind) if previous else None
        unchanged = before is not None and before.status == status
        conditions.append(
            Condition(
                type=kind,
                status=status,
                reason=reason,
                message=message,
                last_transition_time=before.last_transition_time
                if before is not None and unchanged
                else _time(now),
            )
        )
    return tuple(conditions)


def _time(seconds: float) -> datetime:
    """Whole seconds, as Kubernetes writes times."""
    return datetime.fromtimestamp(int(seconds), tz=UTC)


def _short(message: str) -> str:
    """The first line, as long as a status may be; the whole message is the attempt's outcome."""
    first, *others = message.splitlines() or [""]
    more = f" (and {len(others)} more)" if others else ""
    room = MAX_STATUS_MESSAGE_CHARS - len(more)
    return (first if len(first) <= room else first[: room - 3] + "...") + more
