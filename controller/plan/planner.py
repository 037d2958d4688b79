"""Decides what happens next: ``plan(snapshot, now)``, pure and total.

As many steps run at once as the snapshot allows. Prepare comes first in every run, and what it
reports finished is never started. An attempt that outlived the run that began it is dealt with
before anything else: on one machine taken over where the job file is the same, else stopped, so
that two attempts never write at once.
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
CLUSTER_LOOK_AGAIN_S = 10.0
"""The same in a cluster, where whatever happens is told: this is for what doesn't happen."""


def plan(snapshot: Snapshot, now: float) -> Plan:
    """What to do now, what to tell the user, and when to look again.

    Args:
        now: Seconds since the epoch.
    """
    judgement = judge(snapshot)
    status = build_status(snapshot, judgement, now)
    again_s = _look_again_s(snapshot)
    if snapshot.suspended:
        stops = _stop_all(snapshot, "the run was interrupted")
        return Plan(actions=stops, status=status, requeue_after_s=again_s if stops else None)
    if survivors := [each for each in snapshot.live if each.run != snapshot.run]:
        if snapshot.cluster is not None:
            # A resumed job begins anew once all of the former run is gone.
            stale = tuple(StopStep(attempt=each, why="of a former run") for each in survivors)
            return Plan(actions=stale, status=status, requeue_after_s=again_s)
        same, *others = sorted(survivors, key=lambda each: each.job_digest != snapshot.job_digest)
        actions: list[Action] = [
            StopStep(attempt=each, why="the job file has changed") for each in others
        ]
        if same.job_digest == snapshot.job_digest and len(snapshot.live) == len(survivors):
            actions.append(AdoptStep(attempt=same))
        else:
            actions.append(StopStep(attempt=same, why="the job file has changed"))
        return Plan(actions=tuple(actions), status=status, requeue_after_s=again_s)
    fast = any(each.reason == Reason.FAILED_FAST for each in judgement.steps.values())
    if fast and snapshot.live:
        stops = _stop_all(snapshot, "another student failed")
        return Plan(actions=stops, status=status, requeue_after_s=again_s)
    if judgement.is_over and not snapshot.live:
        return Plan(actions=(), status=status, requeue_after_s=None)
    stops = tuple(
        StopStep(attempt=each, why=each.evidence.message)
        for each in snapshot.live
        if each.evidence is not None
    )
    return _start_due(snapshot, judgement, status, now, stops)


def _look_again_s(snapshot: Snapshot) -> float:
    return LOOK_AGAIN_S if snapshot.cluster is None else CLUSTER_LOOK_AGAIN_S


def _stop_all(snapshot: Snapshot, why: str) -> tuple[Action, ...]:
    return tuple(StopStep(attempt=attempt, why=why) for attempt in snapshot.live)


def _start_due(
    snapshot: Snapshot,
    judgement: Judgement,
    status: JobStatus,
    now: float,
    stops: tuple[Action, ...],
) -> Plan:
    """Starts what is due, as far as there is room."""
    room = snapshot.max_parallel - len(snapshot.live)
    if snapshot.cluster is not None:
        room = min(room, snapshot.cluster.max_starts)
    starts: list[Action] = []
    for step in _due_steps(snapshot, judgement, now)[: max(0, room)]:
        number = snapshot.next_number(step)
        try:
            config = build_config(
                step, snapshot.job, judgement.known, place=snapshot.place, attempt=number
            )
        except InvariantError as error:
            broken = with_broken_step(status, step, error, now)
            return Plan(actions=(), status=broken, requeue_after_s=None)
        starts.append(StartStep(step=step, number=number, config=config))
    look_again_s = _look_again_s(snapshot)
    retries = [each.retry_at - now for each in judgement.steps.values() if each.retry_at > now]
    if snapshot.live or starts:
        look_again_s = min([look_again_s, *retries])
    else:
        look_again_s = min(retries, default=look_again_s)
    return Plan(actions=(*stops, *starts), status=status, requeue_after_s=look_again_s)


def _due_steps(snapshot: Snapshot, judgement: Judgement, now: float) -> list[Step]:
    """Which steps could start now, in their order."""
    due = []
    for step in steps_of(snapshot.job.spec):
        judged = judgement.steps[step.id]
        waits = judged.state == StepState.WAITING
        back = judged.state == StepState.BACKING_OFF and judged.retry_at <= now
        lingers = any(each.lingers for each in snapshot.attempts if each.is_of(step))
        if (waits or back) and not lingers and is_ready(step, judgement, snapshot):
            due.append(step)
    return due
