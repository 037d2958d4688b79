"""Tells the user what the planner judged: the typed status, built anew each time. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from controller.plan.judgement import Judged, Judgement
from controller.plan.snapshot import Snapshot
from distillery.conditions import STAGE_CONDITIONS, ConditionStatus, ConditionType, Reason
from distillery.errors import DistilleryError
from distillery.status import (
    MAX_STATUS_MESSAGE_CHARS,
    Condition,
    JobStatus,
    StageStatus,
    StepState,
)
from distillery.steps import Step

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
    return JobStatus(conditions=_conditions(verdicts, snapshot.previous, now), stages=stages)


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
    last = attempts[-1] if attempts else None
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
    )


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
    return datetime.fromtimestamp(seconds, tz=UTC)


def _short(message: str) -> str:
    """The first line, as long as a status may be; the whole message is the attempt's outcome."""
    first, *others = message.splitlines() or [""]
    more = f" (and {len(others)} more)" if others else ""
    room = MAX_STATUS_MESSAGE_CHARS - len(more)
    return (first if len(first) <= room else first[: room - 3] + "...") + more
