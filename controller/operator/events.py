"""Kubernetes events at each transition of a job: what ``kubectl describe`` tells below the status.

Worked out from the status before and after, so that a repeated round says nothing twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controller.jobs.views import JobView
from distillery.conditions import ConditionStatus, ConditionType
from distillery.status import Condition, JobStatus, StageStatus, StepState

NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An event to tell."""

    type: str
    reason: str
    note: str


def announce_changes(
    view: JobView, status: JobStatus, announce: Callable[[JobView, str, str, str], None]
) -> None:
    """Tells what has changed between the recorded status and ``status``."""
    for notice in find_changes(view.status, status):
        announce(view, notice.type, notice.reason, notice.note)


def find_changes(old: JobStatus, new: JobStatus) -> Iterator[Notice]:
    """The events between two statuses."""
    if old.runtime and new.runtime and old.runtime.image != new.runtime.image:
        note = f"next attempts run {new.runtime.image}, until now {old.runtime.image}"
        yield Notice(type=NORMAL, reason="ImageChanged", note=note)
    before = {each.step: each for each in old.stages}
    for stage in new.stages:
        yield from _stage_notices(before.get(stage.step), stage)
    for condition in new.conditions:
        if condition.type == ConditionType.SUCCEEDED and not new.is_true(ConditionType.FINISHED):
            continue
        earlier = old.condition(condition.type)
        if earlier is None or (earlier.status, earlier.reason) != (
            condition.status,
            condition.reason,
        ):
            yield from _condition_notices(condition, is_new=earlier is None)


def newly_ended(old: JobStatus, new: JobStatus) -> Iterator[StageStatus]:
    """The steps whose latest attempt has ended between two statuses."""
    ended = {(each.step, each.attempt) for each in old.stages if each.end_time is not None}
    for stage in new.stages:
        if stage.end_time is not None and (stage.step, stage.attempt) not in ended:
            yield stage


def _stage_notices(old: StageStatus | None, new: StageStatus) -> Iterator[Notice]:
    if old is not None and (old.state, old.attempt) == (new.state, new.attempt):
        return
    if old is None and new.state == StepState.WAITING:
        return
    match new.state:
        case StepState.RUNNING:
            note = f"{new.step}: attempt {new.attempt} started, {new.ray_job_name}"
            yield Notice(type=NORMAL, reason="StepStarted", note=note)
        case StepState.DONE:
            yield Notice(type=NORMAL, reason="StepDone", note=f"{new.step}: {new.reason}")
        case StepState.BACKING_OFF:
            note = f"{new.step}: attempt {new.attempt} failed, tried again soon: {new.message}"
            yield Notice(type=WARNING, reason=new.reason, note=note)
        case StepState.FAILED:
            note = f"{new.step}: failed for good: {new.message}"
            yield Notice(type=WARNING, reason=new.reason, note=note)
        case StepState.SKIPPED:
            yield Notice(type=WARNING, reason="StepSkipped", note=f"{new.step}: {new.message}")
        case StepState.WAITING:
            return


def _condition_notices(condition: Condition, *, is_new: bool) -> Iterator[Notice]:
    kind, status = condition.type, condition.status
    bad = WARNING if status == ConditionStatus.FALSE else NORMAL
    note = f"{kind} is {status}: {condition.message or condition.reason}"
    if kind in (ConditionType.ACCEPTED, ConditionType.SUCCEEDED):
        if status != ConditionStatus.UNKNOWN:
            yield Notice(type=bad, reason=condition.reason, note=note)
    elif kind == ConditionType.DEGRADED and (status == ConditionStatus.TRUE or not is_new):
        is_bad = status == ConditionStatus.TRUE
        yield Notice(type=WARNING if is_bad else NORMAL, reason=condition.reason, note=note)
    elif kind == ConditionType.ADMITTED and not (is_new and status == ConditionStatus.TRUE):
        yield Notice(type=NORMAL, reason=condition.reason, note=note)
