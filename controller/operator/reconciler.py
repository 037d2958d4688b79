"""One job, once: observe, decide, act, record. Level-driven, and safe to repeat from any line.

What an attempt's failure was is recorded before anything of it is deleted, and a child's name says
all that makes it this attempt's, so a crash between any two lines loses nothing and starts nothing
twice. No decision is made here: see ``controller.plan``.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controller.jobs.views import JobView, read_job
from controller.kube.api import Json, KubeApi
from controller.kube.faults import ForbiddenError, InvalidError, NotFoundError
from controller.kube.resources import DISTILLATION_JOBS
from controller.launchers.base import Launcher, NameConflictError, RayClusterError
from controller.operator.events import announce_changes, newly_ended
from controller.operator.limits import Asking, Grant, LaunchLimiter
from controller.operator.recording import StatusRecorder
from controller.operator.runs import current_runtime, is_over_for_good, run_with_records
from controller.plan.actions import Plan, StartStep, StopStep
from controller.plan.planner import plan
from controller.plan.snapshot import Cluster, Snapshot, Trouble
from controller.plan.status import rejected_status
from distillery.conditions import ConditionType, Reason
from distillery.errors import DistilleryError, SpecError
from distillery.spec.job import DistillationJob
from distillery.status import JobStatus, RuntimeStatus, StageStatus
from distillery.step_configs import Place

_LOG = logging.getLogger(__name__)

TROUBLE_DELAY_S = 30.0
DONE_LOOK_S = 60.0

Announce = Callable[[JobView, str, str, str], None]
"""Tells a job's event: the job, its type (Normal, Warning), its reason, its note."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a reconciler works with. ``count_active``: active steps by namespace. ``expect``: the
    job of that key has so many steps that live or are about to. ``forget``: the job of that uid is
    gone. ``priority_of``: what a PriorityClass of that name is worth. ``wall``: seconds since the
    epoch; ``monotonic``: for waiting."""

    api: KubeApi
    find_job: Callable[[str], Json | None]
    launcher_for: Callable[[DistillationJob], Launcher]
    recorder: StatusRecorder
    limiter: LaunchLimiter
    count_active: Callable[[], Mapping[str, int]]
    announce: Announce
    attempt_ended: Callable[[JobView, StageStatus], None]
    forget: Callable[[str], None]
    defaults: RuntimeStatus
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    priority_of: Callable[[str], int]
    expect: Callable[[str, int], None] = lambda key, num_steps: None


class Reconciler:
    """Reconciles jobs; one instance for all workers, one key in one worker at a time."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings
        self._uids: dict[str, str] = {}
        self._troubles: dict[str, Trouble] = {}
        self._asking = threading.Lock()

    def reconcile(self, key: str) -> float | None:
        """Makes one round for the job ``<namespace>/<name>``.

        Returns: Seconds until it must be looked at again, whatever happens; None: not at all.
        """
        raw = self._with.find_job(key)
        if raw is None:
            self._forget(key)
            return None
        view = read_job(raw)
        if self._uids.setdefault(key, view.uid) != view.uid:
            self._forget(key)
            self._uids[key] = view.uid
        if view.job is None:
            return None if view.is_deleting else self._reject(view, "InvalidSpec")
        launcher = self._with.launcher_for(view.job)
        if view.is_deleting:
            return self._let_go(view, launcher)
        if not self._has_begun(view):
            problems = (*view.problems, *launcher.find_problems(view.job))
            if problems:
                return self._reject(replace(view, problems=problems), "InvalidSpec")
        if launcher.finalizer and launcher.finalizer not in view.finalizers:
            self._set_finalizers(view, (*view.finalizers, launcher.finalizer))
            return 0.0
        return self._go_on(view, view.job, launcher)

    def _go_on(self, view: JobView, job: DistillationJob, launcher: Launcher) -> float | None:
        now = self._with.wall()
        runtime = current_runtime(view, job, self._with.defaults)
        attempts = launcher.observe(view, now=now)
        self._with.expect(view.key, sum(each.is_live for each in attempts))
        if is_over_for_good(view, runtime):
            launcher.tidy(view, attempts, now=now)
            return self._expire(view, job, now)
        runtime = run_with_records(view, runtime, attempts)
        snapshot = Snapshot(
            job=job,
            job_digest="",
            place=Place(scratch_dir=launcher.scratch_dir(view)),
            run=str(runtime.run),
            attempts=attempts,
            suspended=job.spec.suspend,
            previous=view.status,
            max_parallel=job.spec.runtime.max_parallel_steps,
            cluster=Cluster(
                generation=view.generation, runtime=runtime, trouble=self._troubles.get(view.key)
            ),
        )
        decided = self._decide(view, snapshot, now)
        left_s = self._record(view, decided.status)
        acted = self._act(view, launcher, decided, runtime)
        launcher.tidy(view, attempts, now=now)
        waits = [decided.requeue_after_s, left_s or None, acted]
        return min((wait for wait in waits if wait is not None), default=DONE_LOOK_S)

    def _decide(self, view: JobView, snapshot: Snapshot, now: float) -> Plan:
        """The plan with as many starts as may be."""
        decided = plan(snapshot, now)
        wanted = sum(isinstance(action, StartStep) for action in decided.actions)
        if not wanted or snapshot.cluster is None:
            self._with.limiter.forget(view.key)
            return decided
        num_live = len(snapshot.live)
        priority = self._with.priority_of(snapshot.job.spec.runtime.priority_class_name)
        grant = self._ask(view, wanted, num_live, priority=priority)
        if grant.num_starts >= wanted:
            return decided
        cluster = replace(snapshot.cluster, max_starts=grant.num_starts, queue=grant.queue)
        decided = plan(replace(snapshot, cluster=cluster), now)
        wait_s = grant.again_s
        if num_live and decided.requeue_after_s is not None:
            wait_s = min(wait_s, decided.requeue_after_s)
        return replace(decided, requeue_after_s=wait_s)

    def _ask(self, view: JobView, wanted: int, num_live: int, *, priority: int) -> Grant:
        asking = Asking(
            key=view.key,
            namespace=view.namespace,
            num_steps=wanted,
            created=view.created,
            priority=priority,
        )
        # What one job is granted counts before the next one asks.
        with self._asking:
            grant = self._with.limiter.ask(
                asking, active=self._with.count_active(), now_s=self._with.monotonic()
            )
            self._with.expect(view.key, num_live + grant.num_starts)
        return grant

    def _act(
        self, view: JobView, launcher: Launcher, decided: Plan, runtime: RuntimeStatus
    ) -> float | None:
        """Carries out the plan. A refusal is told in the status and tried again later."""
        trouble: Trouble | None = None
        for action in decided.actions:
            try:
                match action:
                    case StartStep():
                        launcher.start(view, action, runtime)
                    case StopStep(attempt=attempt):
                        launcher.stop(view, attempt)
                    case _:
                        raise AssertionError(f"no job in a cluster is sent {action}")
            except _TROUBLES as error:
                trouble = Trouble(reason=_trouble_reason(error), message=error.message)
        before = self._troubles.pop(view.key, None)
        if trouble is not None:
            self._troubles[view.key] = trouble
            return 0.0 if trouble != before else TROUBLE_DELAY_S
        return 0.0 if before is not None else None

    def _record(self, view: JobView, status: JobStatus) -> float:
        """Seconds until the rest of it may be written; 0: nothing is left."""
        left_s = self._with.recorder.record(view, status)
        if not left_s:
            announce_changes(view, status, self._with.announce)
            for stage in newly_ended(view.status, status):
                self._with.attempt_ended(view, stage)
        return left_s

    def _reject(self, view: JobView, reason: str) -> float | None:
        lines = [str(problem) for problem in view.problems]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        status = rejected_status(
            view.status,
            generation=view.generation,
            reason=reason,
            message=lines[0] + more,
            now=self._with.wall(),
        )
        self._record(view, status)
        return None

    def _has_begun(self, view: JobView) -> bool:
        return view.status.runtime is not None and view.status.is_true(ConditionType.ACCEPTED)

    def _let_go(self, view: JobView, launcher: Launcher) -> float | None:
        """A deleted job: what it owns goes by owner reference; else its steps are stopped here."""
        if not launcher.finalizer or launcher.finalizer not in view.finalizers:
            return None
        now = self._with.wall()
        live = [each for each in launcher.observe(view, now=now) if each.is_live]
        if live and launcher.may_wait(view, now=now):
            for attempt in live:
                launcher.stop(view, attempt)
            return 1.0
        if live:
            names = ", ".join(each.submission_id for each in live)
            note = f"gave up stopping {names}; see whether they still run on that Ray cluster"
            self._with.announce(view, "Warning", "StopGivenUp", note)
        self._set_finalizers(
            view, tuple(name for name in view.finalizers if name != launcher.finalizer)
        )
        return None

    def _set_finalizers(self, view: JobView, finalizers: tuple[str, ...]) -> None:
        metadata = {"resourceVersion": view.resource_version, "finalizers": list(finalizers)}
        self._with.api.merge(
            DISTILLATION_JOBS,
            namespace=view.namespace,
            name=view.name,
            patch={"metadata": metadata},
        )

    def _expire(self, view: JobView, job: DistillationJob, now: float) -> float | None:
        """Deletes the resource once its time after the end is over."""
        ttl_s = job.spec.ttl_seconds_after_finished
        finished = view.status.condition(ConditionType.FINISHED)
        if ttl_s is None or finished is None:
            return DONE_LOOK_S
        left_s = finished.last_transition_time.timestamp() + ttl_s - now
        if left_s > 0:
            return min(left_s, DONE_LOOK_S)
        self._with.api.delete(
            DISTILLATION_JOBS,
            namespace=view.namespace,
            name=view.name,
            uid=view.uid,
            version=view.resource_version,
        )
        return None

    def _forget(self, key: str) -> None:
        self._with.limiter.forget(key)
        self._with.expect(key, 0)
        self._with.recorder.forget(key)
        self._troubles.pop(key, None)
        if (uid := self._uids.pop(key, None)) is not None:
            self._with.forget(uid)


_TROUBLES = (
    SpecError,
    NameConflictError,
    RayClusterError,
    ForbiddenError,
    NotFoundError,
    InvalidError,
)
"""What keeps a step from being started until somebody has changed something."""


def _trouble_reason(error: DistilleryError) -> str:
    if isinstance(error, NameConflictError | RayClusterError):
        return error.reason
    if isinstance(error, NotFoundError):
        return Reason.RAY_JOB_CRD_MISSING
    if isinstance(error, SpecError):
        return Reason.INVALID_SPEC
    return Reason.NOT_PERMITTED
