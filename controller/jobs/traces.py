"""What has become of a job's steps, put together from three places that may each be lost.

The status tells of attempts whose RayJob is gone, RayJobs of attempts the status doesn't know yet,
the progress ConfigMap holds what the steps themselves said. Pure; ``controller.launchers`` look at
what runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from controller.plan.snapshot import Attempt, Failure, FailureKind, RayStatus
from distillery.progress import StepRecord
from distillery.status import JobStatus, StageStatus, StepFailures, StepState


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What is left of an attempt of a step: its number, run, and the name of its RayJob or Ray
    job. ``entry`` is the status's and ``record`` the step's own, where they speak of this very
    attempt; ``before`` is for one the status doesn't know yet."""

    step: str
    number: int
    run: int
    name: str
    started_at: float
    entry: StageStatus | None = None
    record: StepRecord | None = None
    before: StepFailures = field(default_factory=StepFailures)


def read_records(config_map: Mapping[str, object] | None) -> dict[str, StepRecord]:
    """Step id to what the step said last; what can't be read was not said."""
    data = (config_map or {}).get("data") or {}
    records = {}
    for step, text in data.items() if isinstance(data, dict) else ():
        try:
            records[step] = StepRecord.model_validate(json.loads(text), extra="ignore")
        except (ValidationError, ValueError):
            continue
    return records


def parse_time(text: str) -> float:
    """Seconds since the epoch of a time as Kubernetes writes it."""
    return datetime.fromisoformat(text).timestamp()


def entry_of(status: JobStatus, step: str) -> StageStatus | None:
    """The status's entry of the step, where there was an attempt of it."""
    return next((each for each in status.stages if each.step == step and each.attempt), None)


def recall(trace: Trace) -> Attempt:
    """The attempt as far as records tell: to be looked at, or, where nothing is left of it to look
    at, all there will ever be known."""
    entry, record = trace.entry, trace.record
    attempt = Attempt(
        step=trace.step,
        number=trace.number,
        run=str(trace.run),
        submission_id=trace.name,
        job_digest="",
        config_hash="",
        started_at=trace.started_at,
        progress=record.progress if record else (entry.progress if entry else None),
        outcome=record.outcome if record else None,
        before=trace.before,
    )
    if entry is None:
        return attempt
    evidence = _evidence(entry)
    update: dict[str, object] = {"evidence": evidence, "before": _before(entry)}
    if entry.end_time is not None:
        update["ended_at"] = entry.end_time.timestamp()
        update["ray_status"] = _recalled_end(entry)
    return attempt.model_copy(update=update)


def _recalled_end(entry: StageStatus) -> RayStatus:
    """How the entry's attempt ended. A step that waits or is skipped though it has not failed was
    stopped: by a suspension, or for another's failure."""
    if entry.failure_kind:
        return RayStatus.FAILED
    was_stopped = entry.state in (StepState.WAITING, StepState.SKIPPED)
    return RayStatus.STOPPED if was_stopped else RayStatus.SUCCEEDED


def _evidence(entry: StageStatus) -> Failure | None:
    if not entry.failure_kind:
        return None
    return Failure(
        reason=entry.reason,
        message=entry.message,
        retriable=entry.retriable,
        kind=FailureKind(entry.failure_kind),
    )


def _before(entry: StageStatus) -> StepFailures:
    """The run's failures before the entry's attempt: the entry counts that one's too."""
    name = _COUNTERS.get(entry.failure_kind)
    if name is None:
        return entry.failures
    return entry.failures.model_copy(update={name: max(0, getattr(entry.failures, name) - 1)})


def counts_before(entry: StageStatus | None, *, run: int) -> StepFailures:
    """The failures of a step before the attempt that follows the entry's, in that run."""
    return entry.failures if entry is not None and entry.run == run else StepFailures()


_COUNTERS: Mapping[str, str] = {
    FailureKind.OWN: "own",
    FailureKind.PREEMPTION: "preemptions",
    FailureKind.UNSCHEDULABLE: "unschedulable",
}
