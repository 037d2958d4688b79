"""What the planner decides, case by case. Sequences of decisions: tests/property/test_planner.py."""

import pytest

from controller.plan.actions import AdoptStep, Plan, StartStep, StopStep
from controller.plan.planner import plan
from controller.plan.snapshot import Attempt, Failure, FailureKind, RayStatus, Snapshot
from distillery.conditions import ConditionStatus, ConditionType
from distillery.spec.job import DistillationJob
from distillery.status import StepFailures, StepState
from distillery.verdicts import pack_verdict
from tests.attempts import (
    NOW,
    make_attempt,
    make_ended,
    make_failure,
    make_outcome,
    make_prepared,
    make_snapshot,
)
from tests.builders import MINIMAL_JOB, make_job
from tests.verdicts import make_job_at_bounds, make_whole_verdict


def two_students(**changes: object) -> DistillationJob:
    """A job of students ``a`` and ``b``."""
    student = MINIMAL_JOB["spec"]["students"][0]
    return make_job(students=[{**student, "name": "a"}, {**student, "name": "b"}], **changes)


def started(decided: Plan) -> list[str]:
    """The steps it starts."""
    return [action.step.id for action in decided.actions if isinstance(action, StartStep)]


def decide(*attempts: Attempt, job: DistillationJob | None = None) -> Plan:
    """The plan for a snapshot with these attempts."""
    return plan(make_snapshot(*attempts, job=job), NOW)


def done(*steps: str) -> tuple[Attempt, ...]:
    """Successful attempts of ``steps``."""
    return tuple(make_ended(step, make_outcome(step)) for step in steps)


def test_prepare_comes_first_in_every_run() -> None:
    former = make_prepared(make_job()).model_copy(update={"run": "r1"})
    assert started(decide()) == ["prepare"]
    assert started(decide(former)) == ["prepare"]


def test_steps_that_prepare_reports_finished_are_never_started() -> None:
    prepared = make_prepared(make_job(), finished=("generate", "curate"))
    decided = decide(prepared)
    assert started(decided) == ["train-small"]
    assert [stage.reason for stage in decided.status.stages[1:3]] == ["AlreadyFinished"] * 2


def test_one_step_runs_at_a_time() -> None:
    decided = decide(make_prepared(make_job()), make_attempt("generate"))
    assert decided.actions == ()
    assert decided.requeue_after_s == 1.0


def test_an_attempt_number_is_never_given_twice() -> None:
    former = make_ended("generate", make_failure(), run="r1", number=4)
    decided = decide(former, make_prepared(make_job()))
    (start,) = decided.actions
    assert isinstance(start, StartStep)
    assert start.number == start.config.context.attempt == 5


def test_the_run_ends_when_publish_is_done() -> None:
    prepared = make_prepared(make_job(), finished=("generate", "curate", "train-small"))
    decided = decide(prepared, *done("evaluate-small", "publish"))
    assert decided.requeue_after_s is None
    assert decided.status.is_true(ConditionType.SUCCEEDED)
    assert decided.status.is_true(ConditionType.FINISHED)


@pytest.mark.parametrize(
    ("attempt", "want_reason"),
    [
        (make_ended("generate", make_failure("Refused")), "Refused"),
        (make_ended("generate", None, ray_status=RayStatus.STOPPED), "StoppedFromOutside"),
    ],
    ids=["the step says so", "somebody stopped it"],
)
def test_a_failure_that_trying_again_cannot_mend_is_final(
    attempt: Attempt, want_reason: str
) -> None:
    decided = decide(make_prepared(make_job()), attempt)
    generate, *below = decided.status.stages[1:]
    assert (generate.state, generate.reason) == (StepState.FAILED, want_reason)
    assert {stage.state for stage in below} == {StepState.SKIPPED}
    assert decided.requeue_after_s is None
    failed = decided.status.condition(ConditionType.SUCCEEDED)
    assert failed is not None
    assert (failed.status, failed.reason) == (ConditionStatus.FALSE, want_reason)


@pytest.mark.parametrize(
    ("attempt", "want_reason", "want_message"),
    [
        (make_ended("generate", make_failure(retriable=True)), "Broken", "it broke"),
        (make_ended("generate", None), "DriverDied", "ended without a word, Ray says FAILED"),
        (make_ended("generate", None, ray_status=RayStatus.LOST), "DriverDied", "says LOST"),
        (
            make_ended("generate", None, ray_status=RayStatus.SUCCEEDED),
            "OutcomeMissing",
            "named no manifest",
        ),
        (
            make_ended("generate", make_outcome("generate", manifest=None)),
            "OutcomeMissing",
            "named no manifest",
        ),
        (
            make_ended("generate", make_outcome("generate"), ray_status=RayStatus.FAILED),
            "DriverDied",
            "Ray says FAILED",
        ),
    ],
    ids=["retriable", "killed", "unknown to Ray", "silent", "no manifest", "died after the word"],
)
def test_any_other_failure_is_tried_again_after_a_while(
    attempt: Attempt, want_reason: str, want_message: str
) -> None:
    prepared = make_prepared(make_job())
    early = plan(make_snapshot(prepared, attempt), NOW - 9)
    generate = early.status.stages[1]
    assert (generate.state, generate.reason) == (StepState.BACKING_OFF, want_reason)
    assert want_message in generate.message
    assert early.actions == ()
    assert early.requeue_after_s == pytest.approx(4.0)
    assert started(plan(make_snapshot(prepared, attempt), NOW - 5)) == ["generate"]


def test_a_drivers_own_words_on_a_node_taken_away_count_as_preemption() -> None:
    taken = Failure(reason="Preempted", message="gone", retriable=True, kind=FailureKind.PREEMPTION)
    job = make_job(retries={"maxAttempts": 1, "maxPreemptions": 3})
    attempt = make_ended("generate", make_failure(retriable=True), evidence=taken)
    decided = decide(make_prepared(job), attempt, job=job)
    assert decided.status.stages[1].state == StepState.BACKING_OFF
    last = decide(
        make_prepared(job),
        attempt.model_copy(update={"before": StepFailures(preemptions=3)}),
        job=job,
    )
    assert last.status.stages[1].state == StepState.FAILED


def test_what_lingers_of_an_attempt_keeps_its_successor_waiting() -> None:
    job = make_job()
    failed = make_ended("generate", make_failure(retriable=True), lingers=True)
    waiting = plan(make_snapshot(make_prepared(job), failed, job=job), NOW + 100)
    assert started(waiting) == []
    gone = failed.model_copy(update={"lingers": False})
    after = plan(make_snapshot(make_prepared(job), gone, job=job), NOW + 100)
    assert started(after) == ["generate"]


def test_a_live_attempt_with_evidence_against_it_is_stopped() -> None:
    still = Failure(reason="Stalled", message="stands still", retriable=True)
    live = make_attempt("generate", evidence=still)
    decided = decide(make_prepared(make_job()), live)
    assert decided.actions == (StopStep(attempt=live, why="stands still"),)
    stage = decided.status.stages[1]
    assert (stage.state, stage.reason, stage.message) == ("Running", "Stalled", "stands still")


def test_as_many_steps_run_at_once_as_may() -> None:
    job = two_students()
    prepared = make_prepared(job, finished=("generate", "curate"))
    snapshot = make_snapshot(prepared, job=job, max_parallel=2)
    assert started(plan(snapshot, NOW)) == ["train-a", "train-b"]
    one = make_snapshot(prepared, make_attempt("train-a"), job=job, max_parallel=2)
    assert started(plan(one, NOW)) == ["train-b"]


def test_retries_end_at_max_attempts_and_wait_twice_as_long_each_time() -> None:
    job = make_job(retries={"maxAttempts": 3})
    tries = [make_ended("generate", None, number=number) for number in (1, 2, 3)]
    second = plan(make_snapshot(make_prepared(job), *tries[:2], job=job), NOW - 10)
    assert second.requeue_after_s == pytest.approx(10.0)
    last = plan(make_snapshot(make_prepared(job), *tries, job=job), NOW)
    assert last.status.stages[1].state == StepState.FAILED
    assert last.requeue_after_s is None


def test_failures_of_former_runs_do_not_count() -> None:
    former = make_ended("generate", make_failure(), run="r1")
    assert started(decide(former, make_prepared(make_job()))) == ["generate"]


def test_a_verdict_that_cannot_be_read_fails_prepare() -> None:
    decided = decide(make_ended("prepare", make_outcome("prepare", summary={"odd": 1})))
    assert decided.status.stages[0].reason == "VerdictUnreadable"
    assert "make controller and stages the same version" in decided.status.stages[0].message


def test_a_verdict_too_long_to_be_plain_is_read_all_the_same() -> None:
    job = make_job_at_bounds()
    packed = pack_verdict(make_whole_verdict(job))
    assert packed != make_whole_verdict(job).dump()
    decided = decide(make_ended("prepare", make_outcome("prepare", summary=packed)), job=job)
    states = {stage.state for stage in decided.status.stages}
    assert states == {StepState.DONE}


def test_a_failed_student_leaves_the_others_and_publish_says_so() -> None:
    job = two_students()
    prepared = make_prepared(job, finished=("generate", "curate"))
    failed = make_ended("train-a", make_failure())
    assert started(decide(prepared, failed, job=job)) == ["train-b"]
    decided = decide(prepared, failed, *done("train-b", "evaluate-b"), job=job)
    (start,) = decided.actions
    assert isinstance(start, StartStep)
    assert start.config.stage == "publish"
    assert start.config.settings.failed_students == {"a": "it broke"}
    end = decide(prepared, failed, *done("train-b", "evaluate-b", "publish"), job=job)
    succeeded = end.status.condition(ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert (succeeded.status, succeeded.message) == (ConditionStatus.FALSE, "failed students: a")
    assert end.status.is_true(ConditionType.FINISHED)


def test_nothing_is_published_when_every_student_failed() -> None:
    job = two_students()
    prepared = make_prepared(job, finished=("generate", "curate"))
    failed = [make_ended(f"train-{name}", make_failure()) for name in "ab"]
    decided = decide(prepared, *failed, job=job)
    assert decided.status.stages[-1].state == StepState.SKIPPED
    assert decided.status.stages[-1].message == "every student failed"
    assert decided.requeue_after_s is None


def test_fail_fast_starts_nothing_after_a_students_failure() -> None:
    job = two_students(failurePolicy="FailFast")
    prepared = make_prepared(job, finished=("generate", "curate"))
    decided = decide(prepared, make_ended("train-a", make_failure()), job=job)
    assert (decided.actions, decided.requeue_after_s) == ((), None)
    assert decided.status.stages[4].message == "train-a failed and failurePolicy is FailFast"


def test_a_survivor_of_the_same_job_file_is_adopted_before_anything_starts() -> None:
    survivor = make_attempt("train-small", run="r1")
    assert decide(survivor).actions == (AdoptStep(attempt=survivor),)
    adopted = survivor.model_copy(update={"run": "r2", "adopted": True})
    assert decide(adopted).actions == ()


def test_a_survivor_of_another_job_file_is_stopped_before_anything_starts() -> None:
    survivor = make_attempt("train-small", run="r1", job_digest="other")
    want = StopStep(attempt=survivor, why="the job file has changed")
    assert decide(survivor).actions == (want,)


def test_of_two_survivors_one_is_stopped() -> None:
    first = make_attempt("train-small", run="r0", number=1)
    second = make_attempt("train-small", run="r1", number=2)
    actions = decide(first, second).actions
    assert {type(action) for action in actions} == {AdoptStep, StopStep}


def test_what_an_adopted_attempt_made_counts_only_if_prepare_finds_it() -> None:
    adopted = make_ended("generate", make_outcome("generate"), adopted=True)
    assert started(decide(adopted)) == ["prepare"]
    assert started(decide(adopted, make_prepared(make_job()))) == ["generate"]
    found = make_prepared(make_job(), finished=("generate",))
    assert started(decide(adopted, found)) == ["curate"]


def test_an_adopted_attempts_failure_counts() -> None:
    adopted = make_ended("generate", make_failure(), adopted=True)
    assert decide(adopted, make_prepared(make_job())).status.stages[1].state == StepState.FAILED


def test_a_suspended_run_stops_all_and_then_ends_unfinished() -> None:
    live = make_attempt("generate")
    decided = plan(make_snapshot(make_prepared(make_job()), live, suspended=True), NOW)
    assert decided.actions == (StopStep(attempt=live, why="the run was interrupted"),)
    stopped = make_ended("generate", None, ray_status=RayStatus.STOPPED)
    ended = plan(make_snapshot(make_prepared(make_job()), stopped, suspended=True), NOW)
    assert (ended.actions, ended.requeue_after_s) == ((), None)
    assert not ended.status.is_true(ConditionType.FINISHED)
    assert (ended.status.stages[1].state, ended.status.stages[1].reason) == ("Waiting", "Suspended")


def test_a_pin_that_prepare_forgot_fails_the_step_and_not_the_planner() -> None:
    prepared = make_prepared(make_job())
    assert prepared.outcome is not None
    summary = {**prepared.outcome.summary, "pins": {}}
    outcome = prepared.outcome.model_copy(update={"summary": summary})
    decided = decide(prepared.model_copy(update={"outcome": outcome}))
    assert decided.requeue_after_s is None
    assert decided.status.stages[1].reason == "Bug"
    succeeded = decided.status.condition(ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert succeeded.message == "generate: teacher: prepare has pinned no such model"


def test_conditions_keep_the_time_of_their_last_change() -> None:
    first = decide()
    later: Snapshot = make_snapshot(make_prepared(make_job()), previous=first.status)
    second = plan(later, NOW + 100)
    prepared = second.status.condition(ConditionType.PREPARED)
    generated = second.status.condition(ConditionType.GENERATED)
    assert prepared is not None
    assert generated is not None
    assert prepared.last_transition_time.timestamp() == NOW + 100
    assert generated.last_transition_time.timestamp() == NOW
