"""KubeRay, nodes and drivers for ``benchmarks.controller``, as a process of its own.

Each RayJob gets its RayCluster, head, workers and submitter pod, all whole and with their statuses,
and its step's records in the progress ConfigMap. Prepare ends after ``--prepare-s``; every other
step runs on and reports each ``--progress-s``. It has no faults and no timing of KubeRay's: that is
``tests/doubles/kuberay``. On SIGTERM it prints the most RayJobs that were at work at once.

    python -m benchmarks.controller_kuberay --kubeconfig FILE
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from controller.kube.api import Json
from controller.kube.connecting import connect
from controller.kube.faults import AlreadyExistsError
from controller.kube.http import HttpApi
from controller.kube.resources import CONFIG_MAPS, PODS, RAY_CLUSTERS, RAY_JOBS, Resource
from controller.launchers.kuberay.labels import ATTEMPT, JOB, STEP
from controller.runtime.cache import Cache, key_of
from controller.runtime.clock import SystemClock
from controller.runtime.informer import Informer
from controller.runtime.listing import Watched
from controller.runtime.queue import WorkQueue
from controller.runtime.workers import Workers
from distillery.names import progress_map_name
from distillery.progress import Outcome, Progress, StepRecord
from distillery.steps import PREPARE
from tests.attempts import make_outcome, make_verdict
from tests.builders import make_job
from tests.doubles.kuberay.fates import container_status
from tests.doubles.kuberay.objects import build_cluster, build_submitter, owner_of
from tests.doubles.kuberay.pods import build_head_pod, build_worker_pod, head_address

START_S = 0.5
NUM_THREADS = 8


class Phase(IntEnum):
    """How far a RayJob is."""

    NEW = 0
    INITIALIZING = 1
    RUNNING = 2
    COMPLETE = 3


@dataclass(kw_only=True)
class Life:
    """A RayJob and what was made for it."""

    ray_job: Json
    phase: Phase = Phase.NEW
    cluster: Json = field(default_factory=dict)
    pods: list[Json] = field(default_factory=list)
    work: int = 0

    @property
    def step(self) -> str:
        """The step's id."""
        return str(self.ray_job["metadata"]["labels"][STEP])


class Simulator:
    """Drives all RayJobs of the server."""

    def __init__(self, api: HttpApi, *, prepare_s: float, progress_s: float) -> None:
        self._api = api
        self._prepare_s = prepare_s
        self._progress_s = progress_s
        self._lives: dict[str, Life] = {}
        self._verdict = make_outcome(PREPARE.id, summary=make_verdict(make_job()).dump())
        self._lock = threading.Lock()
        self._num_active = 0
        self.most_active = 0
        clock = SystemClock()
        self._queue = WorkQueue(clock=clock)
        self._informer = Informer(api, Watched(resource=RAY_JOBS), cache=Cache(), clock=clock)
        self._informer.add_handler(self._hear)
        self._workers = Workers(self._queue, self._advance, clock=clock, num_threads=NUM_THREADS)

    def start(self) -> None:
        """Begins, in threads."""
        self._informer.start()
        self._workers.start()

    def stop(self) -> None:
        """Ends."""
        self._workers.stop()
        self._informer.stop()

    def _hear(self, old: Json | None, new: Json | None) -> None:
        if old is None and new is not None:
            key = key_of(new)
            self._count(1)
            self._lives[key] = Life(ray_job=new)
            self._queue.add(key)
        elif new is None and old is not None:
            life = self._lives.pop(key_of(old), None)
            if life is not None and life.phase != Phase.COMPLETE:
                self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._num_active += change
            self.most_active = max(self.most_active, self._num_active)

    def _advance(self, key: str) -> float | None:
        """One transition; seconds until the next."""
        life = self._lives.get(key)
        match life.phase if life is not None else None:
            case Phase.NEW if life is not None:
                self._begin(life)
                return START_S
            case Phase.INITIALIZING if life is not None:
                self._run(life)
                return self._prepare_s if life.step == PREPARE.id else self._progress_s
            case Phase.RUNNING if life is not None and life.step == PREPARE.id:
                self._complete(life)
            case Phase.RUNNING if life is not None:
                self._report(life, None)
                return self._progress_s
        return None

    def _begin(self, life: Life) -> None:
        name = life.ray_job["metadata"]["name"]
        cluster = build_cluster(life.ray_job, name=f"{name}-c2345")
        life.cluster = self._make(RAY_CLUSTERS, cluster)
        pods = [build_head_pod(life.cluster, suffix="h2345")]
        for group in life.cluster["spec"].get("workerGroupSpecs") or ():
            number = group.get("replicas", 0) * group.get("numOfHosts", 1)
            pods += [
                build_worker_pod(life.cluster, group, suffix=f"w{each:04}")
                for each in range(number)
            ]
        life.pods = [self._make(PODS, pod) for pod in pods]
        status = {
            "jobId": name,
            "rayClusterName": life.cluster["metadata"]["name"],
            "jobDeploymentStatus": "Initializing",
            "startTime": _now(),
        }
        self._tell(RAY_JOBS, life.ray_job, status)
        life.phase = Phase.INITIALIZING

    def _run(self, life: Life) -> None:
        url = f"{head_address(life.cluster)}:8265"
        for pod in life.pods:
            self._tell(PODS, pod, _running(pod))
        self._tell(RAY_CLUSTERS, life.cluster, {"state": "ready"})
        status = {"jobId": life.ray_job["metadata"]["name"], "dashboardURL": url}
        submitter = self._make(PODS, _submitter_pod({**life.ray_job, "status": status}))
        self._tell(PODS, submitter, _running(submitter))
        life.pods.append(submitter)
        changes = {**status, "jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
        self._tell(RAY_JOBS, life.ray_job, changes)
        life.phase = Phase.RUNNING

    def _complete(self, life: Life) -> None:
        self._report(life, self._verdict)
        status = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": _now()}
        self._tell(RAY_JOBS, life.ray_job, status)
        self._tell(PODS, life.pods[-1], {"phase": "Succeeded"})
        metadata = life.cluster["metadata"]
        self._api.delete(
            RAY_CLUSTERS,
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
        )
        life.phase = Phase.COMPLETE
        self._count(-1)

    def _report(self, life: Life, outcome: Outcome | None) -> None:
        life.work += 1
        metadata = life.ray_job["metadata"]
        record = StepRecord(
            attempt=int(metadata["labels"][ATTEMPT]),
            submission_id=metadata["name"],
            progress=Progress(
                beat=life.work,
                work=life.work * 2560,
                done=life.work * 10,
                total=10_000,
                tokens_per_second=256.0,
                remaining_seconds=float(10_000 - life.work),
            ),
            outcome=outcome,
        )
        self._api.merge(
            CONFIG_MAPS,
            namespace=metadata["namespace"],
            name=progress_map_name(metadata["labels"][JOB]),
            patch={"data": {life.step: json.dumps(record.dump())}},
        )

    def _make(self, resource: Resource, body: Json) -> Json:
        metadata = body["metadata"]
        try:
            return self._api.create(resource, body)
        except AlreadyExistsError:
            namespace, name = metadata["namespace"], metadata["name"]
            return self._api.fetch(resource, namespace=namespace, name=name)

    def _tell(self, resource: Resource, raw: Json, status: Json) -> None:
        self._api.merge(
            resource,
            namespace=raw["metadata"]["namespace"],
            name=raw["metadata"]["name"],
            patch={"status": status},
            subresource="status",
        )


def main(arguments: Sequence[str]) -> int:
    """Simulates until SIGTERM; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="benchmarks.controller_kuberay")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--prepare-s", type=float, default=2.0)
    parser.add_argument("--progress-s", type=float, default=10.0)
    options = parser.parse_args(arguments)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    simulator = Simulator(
        connect(kubeconfig=options.kubeconfig, context=None)[0],
        prepare_s=options.prepare_s,
        progress_s=options.progress_s,
    )
    simulator.start()
    over.wait()
    simulator.stop()
    sys.stdout.write(json.dumps({"most_active": simulator.most_active}) + "\n")
    return 0


def _submitter_pod(ray_job: Json) -> Json:
    """The submitter's pod, owned by the RayJob itself: there is no Job in between."""
    job = build_submitter(ray_job)
    metadata, template = job["metadata"], job["spec"]["template"]
    return {
        "metadata": {
            **template["metadata"],
            "name": f"{metadata['name']}-s2345",
            "namespace": metadata["namespace"],
            "ownerReferences": [owner_of(ray_job, RAY_JOBS.kind)],
        },
        "spec": template["spec"],
    }


def _running(pod: Json) -> Json:
    """The status of a pod that runs."""
    state = {"running": {"startedAt": _now()}}
    done = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": _now()}}
    spec = pod["spec"]
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "startTime": _now(),
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in kinds
        ],
        "initContainerStatuses": [
            container_status(each, done, is_ready=True) for each in spec.get("initContainers", ())
        ],
        "containerStatuses": [
            container_status(each, state, is_ready=True) for each in spec["containers"]
        ],
    }


def _now() -> str:
    return datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
