"""Jobs on a real API server with the controller's process and KubeRay, each told by a plot.

A ``Story`` is one job. All are begun at once, for most of their time is waiting; a plot stops where
a test wants to step in. What has happened meanwhile stands in the journal (``kuberay_journal.py``);
which KubeRay it is, ``kuberay_here.py`` says.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.kube.api import Json
from controller.kube.faults import NotFoundError
from controller.kube.http import HttpApi
from controller.kube.resources import DISTILLATION_JOBS, EVENTS, PODS, RAY_JOBS, Resource
from controller.launchers.kuberay.labels import ATTEMPT, JOB, STEP
from controller.runtime.listing import Watched, fetch_listing
from distillery.conditions import ConditionType
from distillery.names import child_name
from distillery.spec.job import DistillationJob
from distillery.status import JobStatus, StageStatus
from tests.builders import make_document
from tests.controllers import Controllers
from tests.controlplane.fixtures import ControlPlane
from tests.doubles.kuberay.behaviour import Script, hangs
from tests.doubles.kuberay.objects import NODE_TYPE_LABEL
from tests.doubles.kuberay.ray_side import RaySide
from tests.integration.operator.kuberay_here import kuberay_running
from tests.integration.operator.kuberay_journal import (
    Entry,
    Journal,
    first_of_each,
    keeping_journal,
)
from tests.integration.operator.kuberay_listing import Everything, sweep
from tests.integration.operator.kuberay_mirror import Mirror
from tests.integration.operator.kuberay_plots import Plot
from tests.integration.operator.kuberay_reading import attempt_of, stage_of
from tests.unit.kuberay.kuberay_schemas import crd_folder

DEADLINE_S = 240.0
IMAGE = "registry.example/ray:1"


@dataclass(frozen=True, kw_only=True)
class Story:
    """One job."""

    world: "KubeRayWorld"
    namespace: str
    name: str

    def raw(self) -> Json:
        """The resource."""
        return self.world.api.fetch(DISTILLATION_JOBS, namespace=self.namespace, name=self.name)

    def status(self) -> JobStatus:
        """Its status."""
        return JobStatus.model_validate(self.raw().get("status") or {}, extra="ignore")

    def stage(self, step: str) -> StageStatus:
        """Its status of a step."""
        return stage_of(self.status(), step)

    def statuses(self) -> list[JobStatus]:
        """All statuses it has had."""
        entries = self.entries_of(DISTILLATION_JOBS)
        return [
            JobStatus.model_validate(each.raw.get("status") or {}, extra="ignore")
            for each in entries
        ]

    def entries_of(self, resource: Resource, *, step: str = "", attempt: int = 0) -> list[Entry]:
        """What has happened to its objects of a kind, of a step or of all."""

        def is_own(raw: Json) -> bool:
            labels = raw["metadata"].get("labels") or {}
            if resource == DISTILLATION_JOBS:
                return bool(raw["metadata"]["name"] == self.name)
            return (
                labels.get(JOB) == self.name
                and (not step or labels.get(STEP) == step)
                and (not attempt or labels.get(ATTEMPT) == str(attempt))
            )

        return self.world.journal.of(resource, self.namespace, has=is_own)

    def made(self, resource: Resource, *, step: str = "", attempt: int = 0) -> list[Json]:
        """Its objects of a kind that were ever made, as they were made."""
        entries = self.entries_of(resource, step=step, attempt=attempt)
        return [each.raw for each in first_of_each(entries)]

    def child_name(self, step: str, attempt: int = 1) -> str:
        """What the RayJob of an attempt must be called."""
        uid = self.made(DISTILLATION_JOBS)[-1]["metadata"]["uid"]
        stage = step.partition("-")[0]
        return child_name(job=self.name, job_uid=uid, step_id=step, stage=stage, attempt=attempt)

    def nodes(self, step: str, kind: str) -> list[Json]:
        """The ``head`` or ``worker`` pods that a step ever had, as they were made."""
        pods = self.made(PODS, step=step)
        return [pod for pod in pods if pod["metadata"]["labels"].get(NODE_TYPE_LABEL) == kind]

    def stops_of_nodes(self, step: str, *, attempt: int = 1) -> list[int]:
        """When each head and worker pod of an attempt had stopped, as a version: it was gone, or
        ended, as Kubernetes makes those that nobody lets go. Those that run are left out."""
        stops: dict[str, int] = {}
        for each in self.entries_of(PODS, step=step, attempt=attempt):
            phase = (each.raw.get("status") or {}).get("phase")
            is_node = NODE_TYPE_LABEL in each.raw["metadata"]["labels"]
            if is_node and (each.is_gone or phase in ("Failed", "Succeeded")):
                stops.setdefault(each.uid, each.version)
        return list(stops.values())

    def launched(self) -> list[str]:
        """``<step>/<attempt>`` of all RayJobs that were ever made, in their order."""
        return [attempt_of(raw) for raw in self.made(RAY_JOBS)]

    def children(self) -> list[Json]:
        """The RayJobs there are."""
        labels = f"{JOB}={self.name}"
        page = self.world.api.list_page(RAY_JOBS, namespace=self.namespace, labels=labels)
        return page.items

    def events(self) -> list[tuple[str, str, str]]:
        """Type, reason and note of what was told of it, in order."""
        # KubeRay tells hundreds of its own.
        watched = Watched(resource=EVENTS, namespace=self.namespace)
        listed = fetch_listing(self.world.api, watched, project=lambda raw: raw)
        found = [each for each in listed.objects if each["regarding"]["name"] == self.name]
        found.sort(key=lambda each: str(each["eventTime"]))
        return [(each["type"], each["reason"], each["note"]) for each in found]

    def until(
        self, holds: Callable[[JobStatus], bool], *, deadline_s: float = DEADLINE_S
    ) -> JobStatus:
        """Its status once it holds."""
        found: list[JobStatus] = []

        def looks_so() -> bool:
            found.append(self.status())
            return holds(found[-1])

        self.world.wait(looks_so, deadline_s=deadline_s, what=lambda: repr(found[-1].dump()))
        return found[-1]

    def until_over(self) -> JobStatus:
        """Its status once it is finished."""
        return self.until(lambda status: status.is_true(ConditionType.FINISHED))

    def until_succeeded(self) -> JobStatus:
        """Its status once it has succeeded; it may not end otherwise."""
        status = self.until_over()
        assert status.is_true(ConditionType.SUCCEEDED), status.dump()
        return status

    def until_runs(self, step: str, *, attempt: int = 1) -> JobStatus:
        """Its status once the driver of that attempt runs on KubeRay."""
        return self.until(
            lambda status: (
                bool(stage_of(status, step).dashboard_url)
                and stage_of(status, step).attempt == attempt
            )
        )

    def go_on_with(
        self, *, finished: tuple[str, ...] = (), acts: Mapping[str, Script] | None = None
    ) -> None:
        """Another plot from now on."""
        plots, key = self.world.plots, (self.namespace, self.name)
        plots[key] = Plot(job=plots[key].job, finished=finished, acts=acts or {})

    def change(self, spec: Mapping[str, Any]) -> None:
        """Edits it, as ``kubectl patch`` does."""
        self.world.api.merge(
            DISTILLATION_JOBS, namespace=self.namespace, name=self.name, patch={"spec": spec}
        )

    def delete(self) -> None:
        """Deletes it, as ``kubectl delete`` does."""
        uid = self.raw()["metadata"]["uid"]
        place = {"namespace": self.namespace, "name": self.name}
        self.world.api.delete(DISTILLATION_JOBS, **place, uid=uid)

    def is_there(self) -> bool:
        """Whether the resource exists."""
        try:
            self.raw()
        except NotFoundError:
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class KubeRayWorld:
    """The API server, what happens there, and the plots of all jobs."""

    control_plane: ControlPlane
    api: HttpApi
    journal: Journal
    ray: RaySide
    everything: Everything
    plots: dict[tuple[str, str], Plot]
    replicas: list[Controllers] = field(default_factory=list)

    def apply(
        self,
        name: str,
        *,
        namespace: str,
        finished: tuple[str, ...] = (),
        acts: Mapping[str, Script] | None = None,
        document: Json | None = None,
        **changes: Any,
    ) -> Story:
        """Applies a job, ``document`` or a valid one with ``changes``, with its plot."""
        body = document or make_document(**{"storage": {"uri": "s3://bucket/store"}, **changes})
        body["metadata"] |= {"name": name, "namespace": namespace}
        job = DistillationJob.model_validate(body)
        self.plots[namespace, name] = Plot(job=job, finished=finished, acts=acts or {})
        self.api.create(DISTILLATION_JOBS, body)
        return Story(world=self, namespace=namespace, name=name)

    def wait(
        self,
        holds: Callable[[], bool],
        *,
        deadline_s: float = DEADLINE_S,
        what: Callable[[], str] = lambda: "",
    ) -> None:
        """Waits until it holds."""
        deadline = time.monotonic() + deadline_s
        while not holds():
            if time.monotonic() > deadline:
                tails = "".join(tail for each in self.replicas for tail in each.tails())
                raise AssertionError(f"it never came so far: {what()}\n{tails}")
            time.sleep(0.1)

    def start_controller(self, *namespaces: str, folder: Path, child_ttl_s: int = 600) -> None:
        """A controller that watches these namespaces; its lease is in the first."""
        folder.mkdir()
        settings = {
            "watchNamespaces": list(namespaces),
            "limits": {"launchesPerSecond": 50, "activeStepsPerNamespace": 100},
            "installation": {"image": IMAGE, "childTtlSeconds": child_ttl_s},
        }
        replicas = Controllers(
            control_plane=self.control_plane,
            namespace=namespaces[0],
            folder=folder,
            settings=settings,
        )
        replicas.start()
        self.replicas.append(replicas)


@contextmanager
def kuberay_world(installed: ControlPlane, folder: Path) -> Iterator[KubeRayWorld]:
    """The world, until the end of the block. Skips without KubeRay's CRDs."""
    crds = crd_folder()
    for name in ("ray.io_rayjobs.yaml", "ray.io_rayclusters.yaml"):
        installed.apply(crds / name)
    api = installed.admin()
    sweep(api)
    plots: dict[tuple[str, str], Plot] = {}

    def behave(ray_job: Json) -> Script:
        metadata = ray_job["metadata"]
        labels = metadata.get("labels") or {}
        plot = plots.get((metadata["namespace"], labels.get(JOB, "")))
        return plot.script(labels[STEP], int(labels[ATTEMPT])) if plot else hangs()

    with ExitStack() as stack:
        mirror = Mirror(api)
        journal = stack.enter_context(keeping_journal(api, mirror))
        ray = stack.enter_context(kuberay_running(installed, mirror, behave, folder=folder))
        world = KubeRayWorld(
            control_plane=installed,
            api=api,
            journal=journal,
            ray=ray,
            everything=Everything(api),
            plots=plots,
        )
        try:
            yield world
        finally:
            for each in world.replicas:
                each.stop()
            sweep(api)
