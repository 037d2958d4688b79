"""The controller as a process: caches, lease, workers, poller, events and health put together.

A standby fills its caches and answers probes; it works only once it leads. A leader that loses its
lease ends at once, and the pod's restart makes it a standby again. Every write goes through the
fence of ``controller.runtime.fencing``.
"""

import logging
import threading
import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from controller.jobs.traces import read_records
from controller.jobs.views import JobView
from controller.kube.api import KubeApi
from controller.kube.resources import DISTILLATION_JOBS
from controller.launchers.base import Launcher
from controller.launchers.kuberay.launcher import KubeRayLauncher
from controller.launchers.ray_address import RayAddressLauncher
from controller.launchers.ray_poller import RayPoller
from controller.operator.active import ActiveSteps
from controller.operator.caches import Caches
from controller.operator.health import HealthServer
from controller.operator.limits import LaunchLimiter, LaunchLimits
from controller.operator.metrics import ControllerMetrics, JobsCollector
from controller.operator.priorities import Priorities
from controller.operator.reconciler import Reconciler, Surroundings
from controller.operator.recording import (
    PLACE_WRITES_PER_S,
    PROGRESS_WRITES_PER_S,
    StatusRecorder,
)
from controller.operator.schema import SchemaWatch
from controller.operator.settings import Settings
from controller.runtime.buckets import TokenBucket
from controller.runtime.clock import SystemClock
from controller.runtime.elector import Elector
from controller.runtime.event_series import Occurrence, Regarding, Reporter
from controller.runtime.fencing import FencedApi, TimedApi
from controller.runtime.lease import Candidacy
from controller.runtime.queue import WorkQueue
from controller.runtime.recorder import EventRecorder
from controller.runtime.workers import Workers
from distillery.spec.job import DistillationJob
from distillery.status import RuntimeStatus, StageStatus
from distillery.steps import Stage

_LOG = logging.getLogger(__name__)

LEASE_NAME = "distillery-controller"
CONFIG_VERSION = 1
"""Form of the documents steps are sent; the controller writes this one and the one before."""
NUM_POLLERS = 8


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who this replica is: its namespace, its pod's name, and a word unlike any other start's."""

    namespace: str
    pod: str
    word: str

    @property
    def name(self) -> str:
        """As the lease names it."""
        return f"{self.pod}_{self.word}"


class ControllerProcess:
    """Runs until ``stop`` or the loss of the lease.

    Args:
        health_address: Host and port of the health server.
    """

    def __init__(
        self,
        api: TimedApi,
        settings: Settings,
        *,
        identity: Identity,
        health_address: tuple[str, int],
    ) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._over = threading.Event()
        self._has_lost = False
        self._registry = CollectorRegistry()
        self._metrics = ControllerMetrics(self._registry)
        self._queue = WorkQueue(clock=self._clock, observer=self._metrics)
        self._metrics.watch_queue(self._queue.stats)
        self._caches = Caches(
            api, namespaces=settings.watch_namespaces, wake=self._queue.add, clock=self._clock
        )
        self._schema = SchemaWatch(api)
        self._active = ActiveSteps()
        self._caches.add_job_handler(self._active.handle)
        self._registry.register(JobsCollector(self._caches.jobs))
        self._elector = Elector(
            api,
            candidacy=Candidacy(
                namespace=identity.namespace, name=LEASE_NAME, identity=identity.name
            ),
            clock=self._clock,
            wall=time.time,
            on_started=self._begin_to_lead,
            on_lost=self._lose,
        )
        fenced = FencedApi(api, lease=self._elector)
        self._recorder = EventRecorder(
            fenced,
            reporter=Reporter(controller="distillery.dev/controller", instance=identity.pod),
            clock=self._clock,
            wall=time.time,
        )
        self._polls = WorkQueue(clock=self._clock)
        self._poller = RayPoller(schedule=self._polls.add, wake=self._queue.add)
        self._pollers = Workers(
            self._polls, self._poller.poll, clock=self._clock, num_threads=NUM_POLLERS
        )
        self._launchers = self._build_launchers(fenced)
        self._reconciler = Reconciler(self._surroundings(fenced))
        self._workers = Workers(
            self._queue,
            self._reconciler.reconcile,
            clock=self._clock,
            num_threads=settings.workers,
            observer=self._metrics,
        )
        self.health = HealthServer(
            health_address, registry=self._registry, live=self._is_sick, ready=self._is_unready
        )

    def run(self) -> bool:
        """Works until it is to stop. False: the lease was lost."""
        self.health.start()
        for informer in self._caches.informers:
            informer.start()
        self._schema.start()
        while self._is_unready() and not self._over.wait(0.05):
            continue
        if not self._over.is_set():
            self._elector.start()
        self._over.wait()
        self._shut_down()
        return not self._has_lost

    def stop(self) -> None:
        """Has ``run`` end: workers finish what they are at, the lease is freed."""
        self._over.set()

    def _begin_to_lead(self) -> None:
        _LOG.info("this replica leads")
        self._metrics.leads(is_leading=True)
        self._recorder.start()
        self._pollers.start()
        self._workers.start()

    def _lose(self) -> None:
        _LOG.warning("the lease is lost, the process ends")
        self._has_lost = True
        self._over.set()

    def _shut_down(self) -> None:
        if not self._has_lost:
            self._workers.stop()
            self._pollers.stop()
            self._recorder.stop()
        self._elector.stop()
        self._schema.stop()
        for informer in self._caches.informers:
            informer.stop()
        self.health.stop()

    def _build_launchers(self, api: KubeApi) -> tuple[KubeRayLauncher, RayAddressLauncher]:
        kuberay = KubeRayLauncher(
            api,
            self._caches,
            installation=self._settings.installation,
            wall=time.time,
            monotonic=self._clock.now,
        )
        external = RayAddressLauncher(
            api,
            self._poller,
            records=lambda view: read_records(self._caches.progress_map(view)),
            scratch_dir=self._settings.external_ray_scratch_dir,
            wall=time.time,
        )
        return kuberay, external

    def _surroundings(self, api: KubeApi) -> Surroundings:
        limits = self._settings.limits
        installation = self._settings.installation
        return Surroundings(
            api=api,
            find_job=self._caches.find_job,
            launcher_for=self._launcher_for,
            recorder=StatusRecorder(
                api,
                progress_bucket=self._bucket(PROGRESS_WRITES_PER_S),
                place_bucket=self._bucket(PLACE_WRITES_PER_S),
            ),
            limiter=LaunchLimiter(
                LaunchLimits(**limits.model_dump()),
                bucket=self._bucket(limits.launches_per_second),
            ),
            count_active=self._active.by_namespace,
            expect=self._active.expect,
            priority_of=Priorities(api, clock=self._clock.now).value_of,
            announce=self._announce,
            attempt_ended=self._count_attempt,
            forget=self._forget_job,
            defaults=RuntimeStatus(
                image=installation.image,
                ray_version=installation.ray_version,
                config_version=CONFIG_VERSION,
            ),
            wall=time.time,
            monotonic=self._clock.now,
        )

    def _bucket(self, rate_per_s: float) -> TokenBucket:
        """A bucket that holds a second's tokens."""
        burst = max(1, int(rate_per_s))
        return TokenBucket(rate_per_s=rate_per_s, burst=burst, clock=self._clock.now)

    def _launcher_for(self, job: DistillationJob) -> Launcher:
        kuberay, external = self._launchers
        return external if job.spec.runtime.ray_address else kuberay

    def _announce(self, view: JobView, kind: str, reason: str, note: str) -> None:
        regarding = Regarding(
            api_version=DISTILLATION_JOBS.api_version,
            kind=DISTILLATION_JOBS.kind,
            namespace=view.namespace,
            name=view.name,
            uid=view.uid,
        )
        self._recorder.record(
            Occurrence(regarding=regarding, type=kind, reason=reason, action="Reconcile", note=note)
        )

    def _forget_job(self, uid: str) -> None:
        for launcher in self._launchers:
            launcher.forget(uid)

    def _count_attempt(self, view: JobView, stage: StageStatus) -> None:
        gpus = gpus_of(view.job, stage.stage, stage.student) if view.job is not None else 0
        self._metrics.attempt_ended(stage, gpus=gpus)

    def _is_sick(self) -> str:
        return ""

    def _is_unready(self) -> str:
        if wrong := self._schema.problem:
            return wrong
        if self._caches.has_synced:
            return ""
        waiting = sorted(
            informer.watched.resource.plural
            for informer in self._caches.informers
            if not informer.has_synced and not informer.is_missing
        )
        return f"caches are being filled: {', '.join(waiting)}"


def gpus_of(job: DistillationJob, stage: Stage, student: str) -> int:
    """The GPUs a step holds while it runs."""
    if stage == Stage.TRAIN:
        workers = job.spec.student(student).workers
        return workers.replicas * workers.gpus
    engine = job.spec.teacher.engine if stage == Stage.GENERATE else job.spec.evaluation.engine
    if stage in (Stage.GENERATE, Stage.EVALUATE, Stage.PUBLISH) and engine.type == "vllm":
        return engine.replicas * engine.tensor_parallel * engine.pipeline_parallel
    return 0
