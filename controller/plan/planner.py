"""Decides what happens next: ``plan(snapshot, now)``, pure and total.

One step of a job runs at a time. Prepare comes first in every run, and what it reports finished
is never started. An attempt that outlived the run that began it is dealt with before anything
else: taken over where the job file is the same, stopped where it is not, so that two attempts
never write at once.
"""

from controller.plan.actions import Action, AdoptStep, Plan, StartStep, StopStep
from controller.plan.judgement import Judgement, is_ready, judge
from controller.plan.snapshot import Snapshot
from controller.plan.status import build_status, with_broken_step
from distillery.conditions import Reason
from distillery.errors import InvariantError
from distillery.status import JobStatus, StepState
from distillery.step_configs import build_config
from distillery.steps import Step, steps_of

LOOK_AGAIN_S = 1.0
"""How often a running attempt is looked at; the shell may do so more often."""


def plan(snapshot: Snapshot, now: float) -> Plan:
    """What to do now, what to tell the user, and when to look again.

    Args:
        now: Seconds since the epoch.
    """
    judgement = judge(snapshot)
    status = build_status(snapshot, judgement, now)
    if snapshot.suspended:
        stops = _stop_all(snapshot, "the run was interrupted")
        return Plan(actions=stops, status=status, requeue_after_s=LOOK_AGAIN_S if stops else None)
    if survivors := [each for each in snapshot.live if each.run != snapshot.run]:
        same, *others = sorted(survivors, key=lambda each: each.job_digest != snapshot.job_digest)
        actions: list[Action] = [
            StopStep(attempt=each, why="the job file has changed") for each in others
        ]
        if same.job_digest == snapshot.job_digest and len(snapshot.live) == len(survivors):
            actions.append(AdoptStep(attempt=same))
        else:
            actions.append(StopStep(attempt=same, why="the job file has changed"))
        return Plan(actions=tuple(actions), status=status, requeue_after_s=LOOK_AGAIN_S)
    if snapshot.live:
        fast = any(each.reason == Reason.FAILED_FAST for each in judgement.steps.values())
        return Plan(
            actions=_stop_all(snapshot, "another student failed") if fast else (),
            status=status,
            requeue_after_s=LOOK_AGAIN_S,
        )
    if judgement.is_over:
        return Plan(actions=(), status=status, requeue_after_s=None)
    return _start_next(snapshot, judgement, status, now)


def _stop_all(snapshot: Snapshot, why: str) -> tuple[Action, ...]:
    return tuple(StopStep(attempt=attempt, why=why) for attempt in snapshot.live)


def _start_next(snapshot: Snapshot, judgement: Judgement, status: JobStatus, now: float) -> Plan:
    step = _next_step(snapshot, judgement, now)
    if step is None:
        retry_at = min(
            (each.retry_at for each in judgement.steps.values() if each.retry_at > now),
            default=now + LOOK_AGAIN_S,
        )
        return Plan(actions=(), status=status, requeue_after_s=retry_at - now)
    number = snapshot.next_number(step)
    try:
        config = build_config(
            step, snapshot.job, judgement.known, place=snapshot.place, attempt=number
        )
    except InvariantError as error:
        return Plan(
            actions=(),
            status=with_broken_step(status, step, error, now),
            requeue_after_s=None,
        )
    start = StartStep(step=step, number=number, config=config)
    return Plan(actions=(start,), status=status, requeue_after_s=LOOK_AGAIN_S)


def _next_step(snapshot: Snapshot, judgement: Judgement, now: float) -> Step | None:
    for step in steps_of(snapshot.job.spec):
        judged = judgement.steps[step.id]
        waits = judged.state == StepState.WAITING
        due = judged.state == StepState.BACKING_OFF and judged.retry_at <= now
        if (waits or due) and is_ready(step, judgement, snapshot):
            return step
    return None
