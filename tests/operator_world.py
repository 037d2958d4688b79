"""An operator in a test's hands: the in-memory API server, caches pumped by the test, one clock.

Nothing runs by itself: ``settle`` takes in what has happened and reconciles until nothing is due.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from controller.jobs.views import JobView, read_job
from controller.kube.api import Json, KubeApi
from controller.kube.resources import DISTILLATION_JOBS, RAY_CLUSTERS, RAY_JOBS
from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.labels import ATTEMPT, STEP
from controller.launchers.kuberay.launcher import KubeRayLauncher
from controller.operator.caches import Caches
from controller.operator.limits import LaunchLimiter, LaunchLimits
from controller.operator.priorities import Priorities
from controller.operator.reconciler import Reconciler, Surroundings
from controller.operator.recording import StatusRecorder
from controller.runtime.buckets import TokenBucket
from controller.runtime.queue import WorkQueue
from controller.runtime.workers import Workers
from distillery.status import RuntimeStatus
from tests.builders import make_document
from tests.doubles.api_server import ApiServer
from tests.doubles.clock import VirtualClock

NAMESPACE = "default"
KEY = f"{NAMESPACE}/sums"
INSTALLATION = Installation(image="example.com/ray:1")


class OperatorWorld:
    """One replica, and the server it works on. ``restart`` kills it and starts another."""

    def __init__(
        self,
        server: ApiServer,
        clock: VirtualClock,
        *,
        api: KubeApi | None = None,
        limits: LaunchLimits | None = None,
    ) -> None:
        self.server = server
        self.clock = clock
        self.api = api or server
        self.limits = limits or LaunchLimits(launches_per_second=100)
        self.events: list[tuple[str, str, str]] = []
        self.ended: list[tuple[str, int]] = []
        self.start()

    def start(self) -> None:
        """A new process: nothing is remembered."""
        now = self.clock.now
        self.queue = WorkQueue(clock=self.clock)
        self.caches = Caches(self.api, namespaces=(), wake=self.queue.add, clock=self.clock)
        self.launcher = KubeRayLauncher(
            self.api,
            self.caches,
            installation=INSTALLATION,
            wall=self.wall,
            monotonic=now,
        )
        limits = self.limits
        bucket = TokenBucket(rate_per_s=limits.launches_per_second, burst=100, clock=now)
        self.reconciler = Reconciler(
            Surroundings(
                api=self.api,
                find_job=self.caches.find_job,
                launcher_for=lambda job: self.launcher,
                recorder=StatusRecorder(
                    self.api,
                    progress_bucket=TokenBucket(rate_per_s=20, burst=20, clock=now),
                ),
                limiter=LaunchLimiter(limits, bucket=bucket),
                count_active=self.count_active,
                announce=lambda view, kind, reason, note: self.events.append((kind, reason, note)),
                attempt_ended=lambda view, stage: self.ended.append((stage.step, stage.attempt)),
                forget=self.launcher.forget,
                priority_of=Priorities(self.api, clock=now).value_of,
                defaults=RuntimeStatus(
                    image=INSTALLATION.image,
                    ray_version=INSTALLATION.ray_version,
                    config_version=1,
                ),
                wall=self.wall,
                monotonic=now,
            )
        )
        self.workers = Workers(self.queue, self.reconciler.reconcile, clock=self.clock)

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self.clock.now()

    def count_active(self) -> Mapping[str, int]:
        """RayJobs by namespace."""
        return Counter(each["metadata"]["namespace"] for each in self.caches.all_ray_jobs())

    def pump(self) -> None:
        """Has the caches take in what has happened."""
        for informer in self.caches.informers:
            informer.pump()

    def settle(self, *, max_turns: int = 200) -> None:
        """Takes in what has happened and works until nothing is due now."""
        for _ in range(max_turns):
            self.pump()
            if not self.workers.step(timeout_s=0.0):
                return
        raise AssertionError("the operator doesn't settle")

    def pass_time(self, seconds: float) -> None:
        """Turns the clock on, then settles."""
        self.clock.advance(seconds)
        self.settle()

    def apply(self, document: Json) -> None:
        """Creates the job."""
        self.server.create(DISTILLATION_JOBS, document)

    def change(self, patch: Mapping[str, Any]) -> None:
        """Edits the job's specification."""
        self.server.merge(
            DISTILLATION_JOBS, namespace=NAMESPACE, name="sums", patch={"spec": patch}
        )

    def job(self) -> JobView:
        """The job as the server has it."""
        return read_job(self.server.fetch(DISTILLATION_JOBS, namespace=NAMESPACE, name="sums"))

    def children(self) -> list[Json]:
        """The RayJobs there are."""
        return self.server.objects(RAY_JOBS, namespace=NAMESPACE)

    def clusters(self) -> list[Json]:
        """The RayClusters there are."""
        return self.server.objects(RAY_CLUSTERS, namespace=NAMESPACE)


def make_resource(**changes: object) -> Json:
    """A valid job as a resource, with ``changes`` as in ``make_document``."""
    document = make_document(storage={"uri": "s3://bucket/store"}, **changes)
    document["metadata"]["namespace"] = NAMESPACE
    return document


def child_of(world: OperatorWorld, step: str, attempt: int = 1) -> Json:
    """The RayJob of that attempt of the step."""
    (found,) = [
        child
        for child in world.children()
        if child["metadata"]["labels"][STEP] == step
        and child["metadata"]["labels"][ATTEMPT] == str(attempt)
    ]
    return found
