"""Runs a job's steps as RayJobs: makes them, looks at them, takes them away.

What they are made of is ``rayjob.py``'s and ``companions.py``'s, what has become of them
``observing.py``'s. A RayJob's name says whose attempt it is, so making it twice is no harm; what a
cache doesn't show is asked of the API server before it counts as gone.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from controller.jobs.traces import Trace, counts_before, entry_of, parse_time, read_records, recall
from controller.jobs.views import JobView
from controller.kube.api import Json, KubeApi
from controller.kube.faults import NotFoundError
from controller.kube.resources import CONFIG_MAPS, RAY_JOBS
from controller.launchers.creating import create_own
from controller.launchers.kuberay.companions import build_companions
from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.labels import ATTEMPT, FAILURES_BEFORE, RUN, STEP
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.observing import observe
from controller.launchers.kuberay.places import SCRATCH_DIR
from controller.launchers.kuberay.problems import find_runtime_problems
from controller.launchers.kuberay.rayjob import build_ray_job
from controller.launchers.kuberay.sightings import ChildView, Moment, Sightings
from controller.launchers.stalls import StallTracker, stalled, too_long
from controller.plan.actions import StartStep
from controller.plan.snapshot import Attempt, RayStatus
from distillery.errors import Problem, TransientError
from distillery.progress import StepRecord
from distillery.spec.job import DistillationJob
from distillery.status import RuntimeStatus, StepFailures
from distillery.steps import steps_of

_LOG = logging.getLogger(__name__)


class Sources(Protocol):
    """What the launcher reads of the caches."""

    def ray_jobs(self, view: JobView) -> list[Json]:
        """The RayJobs the job owns."""
        ...

    def ray_cluster(self, ray_job: Json) -> Json | None:
        """The RayCluster KubeRay made for one of them."""
        ...

    def pods(self, *, namespace: str, ray_job: str) -> tuple[Json, ...]:
        """The pods of the RayJob of that name."""
        ...

    def gone_pods(self, *, namespace: str, ray_job: str) -> tuple[Json, ...]:
        """How those of them looked that went lately."""
        ...

    def progress_map(self, view: JobView) -> Json | None:
        """The ConfigMap the job's steps report to."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Child:
    """A RayJob that there is."""

    ray_job: Json
    trace: Trace


class KubeRayLauncher:
    """Steps as RayJobs.

    Args:
        installation: What the administrator set.
        wall: Seconds since the epoch, to show.
        monotonic: Seconds, to measure by.
    """

    finalizer = ""

    def __init__(
        self,
        api: KubeApi,
        sources: Sources,
        *,
        installation: Installation,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._api = api
        self._sources = sources
        self._installation = installation
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sightings: dict[str, dict[str, Sightings]] = {}
        self._stopping: dict[str, set[str]] = {}
        self._stalls = StallTracker()
        self._runs = StallTracker()

    def scratch_dir(self, view: JobView) -> str:
        """See ``Launcher``."""
        return SCRATCH_DIR

    def find_problems(self, job: DistillationJob) -> list[Problem]:
        """See ``Launcher``."""
        return find_runtime_problems(job, self._installation)

    def observe(self, view: JobView, *, now: float) -> tuple[Attempt, ...]:
        """See ``Launcher``."""
        if view.job is None:
            return ()
        records = read_records(self._sources.progress_map(view))
        newest: dict[str, _Child] = {}
        for ray_job in self._sources.ray_jobs(view):
            child = self._child(view, ray_job, records)
            known = newest.get(child.trace.step)
            # Whatever has a successor has ended, and is counted in what the successor brings.
            if known is None or known.trace.number < child.trace.number:
                newest[child.trace.step] = child
        found = []
        for step in steps_of(view.job.spec):
            there = newest.get(step.id)
            lost = _lost_trace(view, step.id, records)
            if there is not None and (lost is None or lost.number <= there.trace.number):
                found.append(self._look(view, there.trace, there.ray_job, now))
            elif lost is not None:
                found.append(self._look_for(view, lost, now))
        return tuple(found)

    def start(self, view: JobView, start: StartStep, runtime: RuntimeStatus) -> None:
        """See ``Launcher``."""
        if view.job is None:
            return
        self._ensure_companions(view, view.job)
        launch = Launch(
            job=view.job,
            uid=view.uid,
            step=start.step,
            number=start.number,
            run=runtime.run,
            config=start.config,
            image=runtime.image,
        )
        if self._sources.pods(namespace=view.namespace, ray_job=launch.name):
            raise TransientError(
                f"RayJob {view.namespace}/{launch.name}: pods of that name are still there, got "
                "some; made once they are gone, or once it is seen to be there itself",
                reason="PodsLinger",
                delay_s=2.0,
            )
        installation = self._installation.model_copy(update={"ray_version": runtime.ray_version})
        body = build_ray_job(launch, installation)
        before = counts_before(entry_of(view.status, start.step.id), run=runtime.run)
        body["metadata"]["annotations"][FAILURES_BEFORE] = json.dumps(before.dump())
        create_own(self._api, RAY_JOBS, body, uid=view.uid)

    def stop(self, view: JobView, attempt: Attempt) -> None:
        """See ``Launcher``: deletes the RayJob, and with it all its pods."""
        child = next(
            (
                each
                for each in self._sources.ray_jobs(view)
                if each["metadata"]["name"] == attempt.submission_id
            ),
            None,
        )
        if child is None:
            return
        with self._lock:
            self._stopping.setdefault(view.uid, set()).add(attempt.submission_id)
        self._delete(child)

    def may_wait(self, view: JobView, *, now: float) -> bool:
        """See ``Launcher``: nothing here waits."""
        return False

    def tidy(self, view: JobView, attempts: tuple[Attempt, ...], *, now: float) -> None:
        """See ``Launcher``. What has ended, and is recorded so, is deleted after a while; the last
        failure of a step is kept for whoever looks into it."""
        newest = {attempt.step: attempt for attempt in attempts}
        for child in self._sources.ray_jobs(view):
            step = child["metadata"]["labels"].get(STEP, "")
            entry = entry_of(view.status, step)
            attempt = newest.get(step)
            if entry is None or attempt is None or entry.end_time is None:
                continue
            if int(child["metadata"]["labels"].get(ATTEMPT, 0)) > entry.attempt:
                continue  # it has just begun, and is recorded in the next round
            is_newest = attempt.submission_id == child["metadata"]["name"]
            if is_newest and (entry.attempt != attempt.number or entry.failure_kind):
                continue
            if now - entry.end_time.timestamp() >= self._installation.child_ttl_seconds:
                self._delete(child)

    def forget(self, uid: str) -> None:
        """See ``Launcher``."""
        with self._lock:
            names = self._sightings.pop(uid, {})
            self._stopping.pop(uid, None)
        for name in names:
            self._stalls.forget(name)
            self._runs.forget(name)

    def _child(self, view: JobView, ray_job: Json, records: Mapping[str, StepRecord]) -> _Child:
        metadata = ray_job["metadata"]
        labels = metadata.get("labels") or {}
        step, name = labels.get(STEP, ""), metadata["name"]
        number, run = int(labels.get(ATTEMPT, 0)), int(labels.get(RUN, 1))
        entry = entry_of(view.status, step)
        record = records.get(step)
        before = (metadata.get("annotations") or {}).get(FAILURES_BEFORE, "{}")
        trace = Trace(
            step=step,
            number=number,
            run=run,
            name=name,
            started_at=parse_time(metadata["creationTimestamp"]),
            entry=entry if entry is not None and entry.attempt == number else None,
            record=record if record is not None and record.submission_id == name else None,
            before=StepFailures.model_validate_json(before),
        )
        return _Child(ray_job=ray_job, trace=trace)

    def _look(self, view: JobView, trace: Trace, ray_job: Json | None, now: float) -> Attempt:
        with self._lock:
            seen = self._sightings.get(view.uid, {}).get(trace.name, Sightings())
            is_stopping = trace.name in self._stopping.get(view.uid, ())
        child = ChildView(
            ray_job=ray_job,
            ray_cluster=self._sources.ray_cluster(ray_job) if ray_job is not None else None,
            pods=self._sources.pods(namespace=view.namespace, ray_job=trace.name),
            gone_pods=self._sources.gone_pods(namespace=view.namespace, ray_job=trace.name),
            record=trace.record,
            is_stopping=is_stopping or (trace.entry is not None and bool(trace.entry.failure_kind)),
        )
        moment = Moment(epoch_s=now, monotonic_s=self._monotonic())
        attempt, seen = observe(recall(trace), child, sightings=seen, now=moment)
        with self._lock:
            self._sightings.setdefault(view.uid, {})[trace.name] = seen
        return self._judge_pace(view, attempt)

    def _look_for(self, view: JobView, trace: Trace, now: float) -> Attempt:
        """Looks at an attempt no cache shows a RayJob of: the API server has the last word."""
        attempt = recall(trace)
        if not attempt.is_live:
            return self._look(view, trace, None, now)
        try:
            ray_job = self._api.fetch(RAY_JOBS, namespace=view.namespace, name=trace.name)
        except NotFoundError:
            ray_job = None
        return self._look(view, trace, ray_job, now)

    def _judge_pace(self, view: JobView, attempt: Attempt) -> Attempt:
        """The attempt, marked to be stopped where it stands still."""
        if not attempt.is_live or attempt.evidence is not None or view.job is None:
            return attempt
        runtime, name, now_s = view.job.spec.runtime, attempt.submission_id, self._monotonic()
        if attempt.waits_for or attempt.ray_status != RayStatus.RUNNING:
            self._stalls.forget(name)
            self._runs.forget(name)
            return attempt
        if self._runs.check(name, None, runtime.step_deadline_seconds, now_s):
            evidence = too_long(attempt.step, runtime.step_deadline_seconds)
        elif self._stalls.check(name, attempt.progress, runtime.stall_seconds, now_s):
            evidence = stalled(attempt.step, attempt.progress, runtime.stall_seconds)
        else:
            return attempt
        return attempt.model_copy(update={"evidence": evidence})

    def _ensure_companions(self, view: JobView, job: DistillationJob) -> None:
        """Makes what the job has once, where it isn't there."""
        for resource, body in build_companions(job, view.uid, self._installation):
            is_map = resource == CONFIG_MAPS
            if is_map and self._sources.progress_map(view) is not None:
                continue
            create_own(self._api, resource, body, uid=view.uid)

    def _delete(self, child: Json) -> None:
        metadata = child["metadata"]
        if "deletionTimestamp" in metadata:
            return
        self._api.delete(
            RAY_JOBS, namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]
        )


def _lost_trace(view: JobView, step: str, records: Mapping[str, StepRecord]) -> Trace | None:
    """The latest attempt of the step that the status or the step itself tells of."""
    entry, record = entry_of(view.status, step), records.get(step)
    if entry is not None and (record is None or record.attempt <= entry.attempt):
        return Trace(
            step=step,
            number=entry.attempt,
            run=entry.run,
            name=entry.ray_job_name,
            started_at=entry.start_time.timestamp() if entry.start_time else 0.0,
            entry=entry,
            record=record if record and record.submission_id == entry.ray_job_name else None,
        )
    if record is None:
        return None
    runtime = view.status.runtime
    return Trace(
        step=step,
        number=record.attempt,
        run=entry.run if entry else (runtime.run if runtime else 1),
        name=record.submission_id,
        started_at=0.0,
        record=record,
    )
