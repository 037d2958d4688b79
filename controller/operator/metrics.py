"""What the controller measures, for Prometheus; names follow controller-runtime where it has them.

Counters and times are told by queue and workers as they happen; what jobs are like is worked out
from the caches when somebody asks (``JobsCollector``).
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.kube.api import Json
from controller.runtime.queue import QueueStats
from controller.runtime.workers import Result
from distillery.conditions import ConditionStatus, ConditionType
from distillery.progress import Progress
from distillery.status import StageStatus, StepState
from distillery.steps import Stage, Step

CONTROLLER = "distillationjob"
LEASE = "distillery-controller"
_UNIT = Progress.model_fields["unit"].default
_LATENCY_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)


class ControllerMetrics:
    """Observes queue and workers: a ``QueueObserver`` and a ``WorkObserver``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = Counter(
            "controller_runtime_reconcile",
            "Reconciles by result",
            ["controller", "result"],
            registry=registry,
        )
        self._errors = Counter(
            "controller_runtime_reconcile_errors",
            "Reconciles that failed",
            ["controller"],
            registry=registry,
        ).labels(CONTROLLER)
        self._times = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Time of a reconcile",
            ["controller"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        ).labels(CONTROLLER)
        self._depth = _queue_metric(Gauge, "workqueue_depth", "Keys that wait", registry)
        self._adds = _queue_metric(Counter, "workqueue_adds", "Keys added", registry)
        self._retries = _queue_metric(Counter, "workqueue_retries", "Keys retried", registry)
        self._waits = _queue_metric(
            Histogram, "workqueue_queue_duration_seconds", "Time a key waited", registry
        )
        self._works = _queue_metric(
            Histogram, "workqueue_work_duration_seconds", "Time a key was in work", registry
        )
        self._unfinished = _queue_metric(
            Gauge, "workqueue_unfinished_work_seconds", "Time of all keys in work", registry
        )
        self._longest = _queue_metric(
            Gauge,
            "workqueue_longest_running_processor_seconds",
            "Time of the key longest in work",
            registry,
        )
        self._leads = Gauge(
            "leader_election_master_status",
            "1 while this replica leads",
            ["name"],
            registry=registry,
        ).labels(LEASE)
        self._stage_times = Histogram(
            "distillery_stage_duration_seconds",
            "Time of finished attempts",
            ["stage", "outcome"],
            buckets=(30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 259200),
            registry=registry,
        )
        self._gpu_seconds = Counter(
            "distillery_gpu_seconds",
            "GPU-seconds of finished attempts",
            ["stage"],
            registry=registry,
        )

    def depth_changed(self, depth: int) -> None:
        """See ``QueueObserver``."""
        self._depth.set(depth)

    def added(self) -> None:
        """See ``QueueObserver``."""
        self._adds.inc()

    def taken(self, waited_s: float) -> None:
        """See ``QueueObserver``."""
        self._waits.observe(waited_s)

    def done(self, worked_s: float) -> None:
        """See ``QueueObserver``."""
        self._works.observe(worked_s)

    def retried(self) -> None:
        """See ``QueueObserver``."""
        self._retries.inc()

    def reconciled(self, result: Result, took_s: float) -> None:
        """See ``WorkObserver``."""
        self._results.labels(CONTROLLER, result.value).inc()
        self._times.observe(took_s)
        if result == Result.ERROR:
            self._errors.inc()

    def leads(self, *, is_leading: bool) -> None:
        """This replica has begun to lead, or leads no more."""
        self._leads.set(is_leading)

    def watch_queue(self, stats: Callable[[], QueueStats]) -> None:
        """Has the queue's running times asked for at each scrape."""
        self._unfinished.set_function(lambda: stats().unfinished_s)
        self._longest.set_function(lambda: stats().longest_running_s)

    def attempt_ended(self, stage: StageStatus, *, gpus: int) -> None:
        """An attempt has ended; told once, at the transition."""
        if stage.start_time is None or stage.end_time is None:
            return
        took_s = (stage.end_time - stage.start_time).total_seconds()
        outcome = "done" if stage.state == StepState.DONE else "failed"
        self._stage_times.labels(stage.stage.value, outcome).observe(took_s)
        self._gpu_seconds.labels(stage.stage.value).inc(took_s * gpus)


class JobsCollector(Collector):
    """Jobs by state, and how far the running steps are, out of the caches.

    Statuses are read as they lie there: reading thousands of jobs whole would stop the workers for
    seconds at each scrape.
    """

    def __init__(self, jobs: Callable[[], Iterable[Json]]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See ``prometheus_client``'s ``Collector``."""
        jobs = GaugeMetricFamily("distillery_jobs", "Jobs by state", labels=["state"])
        labels = ["namespace", "job", "step"]
        rows = GaugeMetricFamily(
            "distillery_step_done", "Rows or steps done", labels=[*labels, "unit"]
        )
        total = GaugeMetricFamily(
            "distillery_step_total", "Rows or steps in all", labels=[*labels, "unit"]
        )
        rejected = GaugeMetricFamily(
            "distillery_step_rejected", "Rows rejected", labels=[*labels, "unit"]
        )
        speed = GaugeMetricFamily("distillery_step_tokens_per_second", "Speed", labels=labels)
        counts: Counts[str] = Counts()
        for job in self._jobs():
            counts[job_state(job)] += 1
            metadata = job["metadata"]
            for step, progress in _running_steps(job):
                names = [metadata["namespace"], metadata["name"], step]
                unit = progress.get("unit", _UNIT)
                rows.add_metric([*names, unit], progress.get("done", 0))
                total.add_metric([*names, unit], progress.get("total", 0))
                rejected.add_metric([*names, unit], progress.get("rejected", 0))
                speed.add_metric(names, progress.get("tokensPerSecond", 0.0))
        for state in JOB_STATES:
            jobs.add_metric([state], counts[state])
        yield from (jobs, rows, total, rejected, speed)


JOB_STATES = ("new", "refused", "waiting", "running", "suspended", "succeeded", "failed")


def job_state(job: Json) -> str:
    """The state of a DistillationJob in a word, one of ``JOB_STATES``."""
    status = job.get("status") or {}
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    if not conditions:
        return "new"
    if conditions.get(ConditionType.ACCEPTED) == ConditionStatus.FALSE:
        return "refused"
    if conditions.get(ConditionType.FINISHED) == ConditionStatus.TRUE:
        has_succeeded = conditions.get(ConditionType.SUCCEEDED) == ConditionStatus.TRUE
        return "succeeded" if has_succeeded else "failed"
    if job["spec"].get("suspend"):
        return "suspended"
    stages = status.get("stages") or ()
    is_running = any(each["state"] == StepState.RUNNING for each in stages)
    return "running" if is_running else "waiting"


def _running_steps(job: Json) -> Iterator[tuple[str, Json]]:
    """Step and progress of what runs and has said something."""
    for stage in (job.get("status") or {}).get("stages") or ():
        if stage["state"] == StepState.RUNNING and "progress" in stage:
            step = Step(stage=Stage(stage["stage"]), student=stage.get("student", ""))
            yield step.id, stage["progress"]


def _queue_metric(kind: Any, name: str, text: str, registry: CollectorRegistry) -> Any:
    more = {"buckets": _LATENCY_BUCKETS} if kind is Histogram else {}
    return kind(name, text, ["name"], registry=registry, **more).labels(CONTROLLER)
