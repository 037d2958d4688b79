"""What has become of each step in this run. Pure; ``planner.py`` decides what follows from it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.plan.snapshot import Attempt, Failure, FailureKind, RayStatus, Snapshot
from distillery.conditions import Reason
from distillery.errors import InvariantError
from distillery.manifests import ManifestRef
from distillery.progress import OutcomeState
from distillery.sizing.estimates import Estimate
from distillery.spec.job import FailurePolicy, RetriesSpec
from distillery.stage_configs import PrepareVerdict
from distillery.status import StepFailures, StepState
from distillery.step_configs import Known
from distillery.steps import (
    CURATE,
    GENERATE,
    PREPARE,
    PUBLISH,
    Stage,
    Step,
    evaluate_step,
    steps_of,
    train_step,
    upstream_of,
)
from distillery.verdicts import unpack_verdict

FIRST_BACKOFF_S = 5.0
MAX_BACKOFF_S = 300.0
FIRST_PREEMPTION_BACKOFF_S = 10.0
MAX_PREEMPTION_BACKOFF_S = 600.0
MAX_UNSCHEDULABLE = 10
"""Tries of a step that find no place in the cluster, each after a longer wait."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """``retry_at`` (seconds since the epoch) goes with ``BACKING_OFF``; ``manifest`` with
    ``DONE``."""

    step: Step
    state: StepState
    reason: str
    message: str = ""
    manifest: ManifestRef | None = None
    retry_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All steps in order, and what is known from those that are done."""

    steps: Mapping[str, Judged]
    known: Known
    estimate: Estimate | None = None
    """What prepare says the job takes."""

    def state(self, step: Step) -> StepState:
        """How far ``step`` is."""
        return self.steps[step.id].state

    @property
    def is_over(self) -> bool:
        """Whether no step needs anything any more."""
        return all(each.state.is_final for each in self.steps.values())

    @property
    def failed(self) -> tuple[Judged, ...]:
        """The steps that failed for good."""
        return tuple(each for each in self.steps.values() if each.state == StepState.FAILED)


def judge(snapshot: Snapshot) -> Judgement:
    """What has become of each step, and what is known."""
    verdict = _verdict(snapshot)
    steps: dict[str, Judged] = {}
    for step in steps_of(snapshot.job.spec):
        steps[step.id] = _judge_step(step, snapshot, verdict)
    steps = _skip_unreachable(steps, snapshot)
    return Judgement(
        steps=steps,
        known=_known(steps, snapshot, verdict),
        estimate=verdict.estimate if verdict else None,
    )


def failure_of(attempt: Attempt) -> Failure | None:
    """How an ended attempt failed; None where it did what it should.

    Done means both that its Ray job succeeded and that its outcome names the manifest. A job that
    ended without an outcome was killed, by the system for want of memory or by somebody.
    """
    outcome = attempt.outcome
    if attempt.ray_status == RayStatus.STOPPED and attempt.evidence is None:
        return Failure(
            reason=Reason.STOPPED_FROM_OUTSIDE,
            message=f"{attempt.step}: its Ray job was stopped by somebody; begin the run again to "
            "go on",
            retriable=False,
        )
    if outcome is not None and outcome.state == OutcomeState.FAILED:
        # A driver may put its own words to a node that was taken away.
        was_taken = attempt.evidence is not None and attempt.evidence.kind == FailureKind.PREEMPTION
        return Failure(
            reason=outcome.reason,
            message=outcome.message,
            retriable=outcome.retriable,
            kind=FailureKind.PREEMPTION if outcome.retriable and was_taken else FailureKind.OWN,
        )
    if attempt.evidence is not None:
        return attempt.evidence
    if attempt.ray_status != RayStatus.SUCCEEDED:
        return Failure(
            reason=Reason.DRIVER_DIED,
            message=f"{attempt.step}: its process ended without a word, Ray says "
            f"{attempt.ray_status}; look for a kill by the system (out of memory) near its end",
            retriable=True,
        )
    if outcome is None or outcome.manifest is None:
        return Failure(
            reason=Reason.OUTCOME_MISSING,
            message=f"{attempt.step}: its process ended well but named no manifest; see its log",
            retriable=True,
        )
    return None


def _verdict(snapshot: Snapshot) -> PrepareVerdict | None:
    for attempt in reversed(snapshot.attempts_of(PREPARE)):
        if attempt.is_live or failure_of(attempt) is not None or attempt.outcome is None:
            return None
        try:
            return unpack_verdict(attempt.outcome.summary, snapshot.job.spec)
        except InvariantError:
            return None
    return None


def _judge_step(step: Step, snapshot: Snapshot, verdict: PrepareVerdict | None) -> Judged:
    attempts = snapshot.attempts_of(step)
    if attempts and attempts[-1].is_live:
        why = attempts[-1].evidence
        return Judged(
            step=step,
            state=StepState.RUNNING,
            reason=why.reason if why else Reason.RUNNING,
            message=why.message if why else "",
        )
    manifest, reason = _manifest(step, attempts, verdict)
    if manifest is not None:
        return Judged(step=step, state=StepState.DONE, reason=reason, manifest=manifest)
    if snapshot.suspended and attempts and attempts[-1].ray_status == RayStatus.STOPPED:
        return Judged(step=step, state=StepState.WAITING, reason=Reason.SUSPENDED)
    failures = [failure for each in attempts if (failure := _failure(each, verdict)) is not None]
    if not failures:
        return Judged(step=step, state=StepState.WAITING, reason=Reason.WAITING)
    last = failures[-1]
    backoff_s = _backoff_s(count_failures(attempts, failures), last, snapshot.job.spec.retries)
    if not last.retriable or backoff_s is None:
        return Judged(step=step, state=StepState.FAILED, reason=last.reason, message=last.message)
    return Judged(
        step=step,
        state=StepState.BACKING_OFF,
        reason=last.reason,
        message=last.message,
        retry_at=(attempts[-1].ended_at or 0.0) + backoff_s,
    )


def count_failures(attempts: Sequence[Attempt], failures: Sequence[Failure]) -> StepFailures:
    """The failures of a step in this run by kind: those given, and those before all attempts."""
    before = attempts[0].before if attempts else StepFailures()
    kinds = Counter(failure.kind for failure in failures)
    return StepFailures(
        own=before.own + kinds[FailureKind.OWN],
        preemptions=before.preemptions + kinds[FailureKind.PREEMPTION],
        unschedulable=before.unschedulable + kinds[FailureKind.UNSCHEDULABLE],
    )


def _backoff_s(counts: StepFailures, last: Failure, retries: RetriesSpec) -> float | None:
    """How long to wait after the last failure; None where its kind has used up its tries."""
    match last.kind:
        case FailureKind.OWN:
            number, most = counts.own, retries.max_attempts - 1
            first_s, longest_s = FIRST_BACKOFF_S, MAX_BACKOFF_S
        case FailureKind.PREEMPTION:
            number, most = counts.preemptions, retries.max_preemptions
            first_s, longest_s = FIRST_PREEMPTION_BACKOFF_S, MAX_PREEMPTION_BACKOFF_S
        case FailureKind.UNSCHEDULABLE:
            number, most = counts.unschedulable, MAX_UNSCHEDULABLE
            first_s, longest_s = FIRST_PREEMPTION_BACKOFF_S, MAX_PREEMPTION_BACKOFF_S
    if number > most:
        return None
    return min(first_s * 2.0 ** (number - 1), longest_s)


def _manifest(
    step: Step, attempts: tuple[Attempt, ...], verdict: PrepareVerdict | None
) -> tuple[ManifestRef | None, Reason]:
    if verdict is None:
        return None, Reason.WAITING
    if step == PREPARE:
        return verdict.dataset, Reason.DONE
    if step.id in verdict.finished:
        return verdict.finished[step.id], Reason.ALREADY_FINISHED
    for attempt in attempts:
        # An adopted attempt ran before this run's prepare, which alone can say whether what it
        # made is what this run needs: then it is in verdict.finished.
        if not attempt.adopted and failure_of(attempt) is None and attempt.outcome is not None:
            return attempt.outcome.manifest, Reason.DONE
    return None, Reason.WAITING


def _failure(attempt: Attempt, verdict: PrepareVerdict | None) -> Failure | None:
    failure = failure_of(attempt)
    if failure is None and attempt.step == PREPARE.id and verdict is None:
        return Failure(
            reason=Reason.VERDICT_UNREADABLE,
            message="prepare: what it reports can't be read; make controller and stages the "
            "same version",
            retriable=False,
        )
    return failure


def _skip_unreachable(steps: dict[str, Judged], snapshot: Snapshot) -> dict[str, Judged]:
    spec = snapshot.job.spec
    failed = [each for each in steps.values() if each.state == StepState.FAILED]
    fast = bool(failed) and spec.failure_policy == FailurePolicy.FAIL_FAST
    # Where one failed by itself, those that were stopped were stopped for its sake.
    causes = [each for each in failed if each.reason != Reason.STOPPED_FROM_OUTSIDE] or failed
    judged = dict(steps)
    for step in steps_of(spec):
        is_open = judged[step.id].state in (StepState.WAITING, StepState.BACKING_OFF)
        is_stopped = fast and judged[step.id] in failed and judged[step.id] not in causes
        if not (is_open or is_stopped):
            continue
        if fast:
            judged[step.id] = Judged(
                step=step,
                state=StepState.SKIPPED,
                reason=Reason.FAILED_FAST,
                message=f"{causes[0].step.id} failed and failurePolicy is FailFast",
            )
        elif blocker := _blocker(step, judged, snapshot):
            judged[step.id] = Judged(
                step=step,
                state=StepState.SKIPPED,
                reason=Reason.UPSTREAM_FAILED,
                message=f"{blocker} failed",
            )
    return judged


def _blocker(step: Step, judged: Mapping[str, Judged], snapshot: Snapshot) -> str:
    """The step whose failure leaves ``step`` nothing to work with; empty if there is none."""
    lost = (StepState.FAILED, StepState.SKIPPED)
    if step.stage != Stage.PUBLISH:
        needed = [each.id for each in upstream_of(step, snapshot.job.spec)]
        return next((each for each in needed if judged[each].state in lost), "")
    first = next(
        (each.id for each in (PREPARE, GENERATE, CURATE) if judged[each.id].state in lost), ""
    )
    if first:
        return first
    names = [student.name for student in snapshot.job.spec.students]
    if all(judged[evaluate_step(name).id].state in lost for name in names):
        return "every student"
    return ""


def _known(
    steps: Mapping[str, Judged], snapshot: Snapshot, verdict: PrepareVerdict | None
) -> Known:
    failed: dict[str, str] = {}
    for student in snapshot.job.spec.students:
        for step in (train_step(student.name), evaluate_step(student.name)):
            if steps[step.id].state == StepState.FAILED:
                failed.setdefault(student.name, steps[step.id].message or steps[step.id].reason)
    return Known(
        pins=verdict.pins if verdict else {},
        manifests={
            step: each.manifest for step, each in steps.items() if each.manifest is not None
        },
        failed_students=failed,
    )


def is_ready(step: Step, judgement: Judgement, snapshot: Snapshot) -> bool:
    """Whether all that ``step`` reads is there. Publish waits for every student that can still
    finish, and no longer."""
    if step != PUBLISH:
        needed = upstream_of(step, snapshot.job.spec)
        return all(judgement.state(each) == StepState.DONE for each in needed)
    return all(each.state.is_final for key, each in judgement.steps.items() if key != PUBLISH.id)
