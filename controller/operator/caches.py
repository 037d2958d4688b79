"""What the operator watches, and how a thing that happens finds the job it happens to.

One set of informers for the whole cluster, or one for each watched namespace. Kept of each object
is what decisions need: pod templates, results and managed fields are dropped before caching, and
what is the same in thousands of objects is kept once.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from controller.jobs.views import JobView
from controller.kube.api import Json, ReadApi
from controller.kube.resources import (
    CONFIG_MAPS,
    DISTILLATION_JOBS,
    PODS,
    RAY_CLUSTERS,
    RAY_JOBS,
    Resource,
)
from controller.launchers.kuberay.labels import JOB, MANAGED_BY, MANAGER, RAY_JOB
from controller.launchers.kuberay.projections import (
    project_pod,
    project_ray_cluster,
    project_ray_job,
)
from controller.operator.gone_pods import GonePods
from controller.runtime.cache import Cache, IndexFunction, by_label, by_owner_uid
from controller.runtime.clock import Clock
from controller.runtime.informer import Informer
from controller.runtime.listing import Watched
from controller.runtime.owners import Handler, is_controlled_by
from controller.runtime.projection import Projection, without_bulk
from distillery.names import progress_map_name

OWNER = "owner"
RAY_JOB_INDEX = "ray-job"

MAX_SHARED_CHARS = 32
"""Longer strings are seldom the same; a uid is longer."""

Wake = Callable[[str], None]
"""Has a job, named by its key, looked at."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    resource: Resource
    labels: str
    project: Projection
    indexes: dict[str, IndexFunction]


_KINDS = (
    _Kind(resource=DISTILLATION_JOBS, labels="", project=without_bulk, indexes={}),
    _Kind(
        resource=RAY_JOBS,
        labels=JOB,
        project=project_ray_job,
        indexes={OWNER: by_owner_uid},
    ),
    _Kind(
        resource=RAY_CLUSTERS,
        labels=JOB,
        project=project_ray_cluster,
        indexes={OWNER: by_owner_uid},
    ),
    _Kind(
        resource=PODS, labels=JOB, project=project_pod, indexes={RAY_JOB_INDEX: by_label(RAY_JOB)}
    ),
    _Kind(
        resource=CONFIG_MAPS,
        labels=f"{MANAGED_BY}={MANAGER}",
        project=without_bulk,
        indexes={},
    ),
)


class NamespaceCaches:
    """The caches of one namespace, or of all (empty)."""

    def __init__(self, api: ReadApi, *, namespace: str, wake: Wake, clock: Clock) -> None:
        self.namespace = namespace
        self.gone_pods = GonePods(label=RAY_JOB, clock=clock)
        self.caches: dict[str, Cache] = {}
        self.informers: list[Informer] = []
        for kind in _KINDS:
            cache = Cache(project=_sharing(kind.project), indexes=kind.indexes)
            watched = Watched(resource=kind.resource, namespace=namespace, labels=kind.labels)
            informer = Informer(api, watched, cache=cache, clock=clock)
            if kind.resource == PODS:
                informer.add_handler(self.gone_pods.handle)
            informer.add_handler(_waking(kind.resource, wake))
            self.caches[kind.resource.plural] = cache
            self.informers.append(informer)


class Caches:
    """All caches.

    Args:
        namespaces: Which to watch; empty: all.
        wake: Told the key of each job to which something has happened.
        clock: What informers measure by.
    """

    def __init__(
        self,
        api: ReadApi,
        *,
        namespaces: Sequence[str],
        wake: Wake,
        clock: Clock,
    ) -> None:
        self._sets = {
            namespace: NamespaceCaches(api, namespace=namespace, wake=wake, clock=clock)
            for namespace in namespaces or ("",)
        }

    @property
    def informers(self) -> Iterator[Informer]:
        """Every informer."""
        return (informer for each in self._sets.values() for informer in each.informers)

    @property
    def has_synced(self) -> bool:
        """Whether all that there is has been heard of; a kind without CRD has nothing to tell."""
        return all(informer.has_synced or informer.is_missing for informer in self.informers)

    @property
    def missing_kinds(self) -> list[str]:
        """The kinds whose CRD isn't installed."""
        return sorted({each.watched.resource.kind for each in self.informers if each.is_missing})

    def add_job_handler(self, handler: Handler) -> None:
        """Tells ``handler`` of every change of a DistillationJob. Only before informers start."""
        for informer in self.informers:
            if informer.watched.resource == DISTILLATION_JOBS:
                informer.add_handler(handler)

    def find_job(self, key: str) -> Json | None:
        """The DistillationJob ``<namespace>/<name>``."""
        return self._cache(key.partition("/")[0], DISTILLATION_JOBS).get(key)

    def jobs(self) -> list[Json]:
        """All DistillationJobs."""
        return [
            job
            for each in self._sets.values()
            for job in each.caches[DISTILLATION_JOBS.plural].objects()
        ]

    def ray_jobs(self, view: JobView) -> list[Json]:
        """The RayJobs the job owns."""
        return self._cache(view.namespace, RAY_JOBS).find(OWNER, view.uid)

    def all_ray_jobs(self) -> list[Json]:
        """The RayJobs of all jobs."""
        return [
            child
            for each in self._sets.values()
            for child in each.caches[RAY_JOBS.plural].objects()
        ]

    def ray_cluster(self, ray_job: Json) -> Json | None:
        """The RayCluster that KubeRay made for the RayJob; the newest of several."""
        metadata = ray_job["metadata"]
        found = self._cache(metadata["namespace"], RAY_CLUSTERS).find(OWNER, metadata["uid"])
        return max(found, key=lambda each: str(each["metadata"]["creationTimestamp"]), default=None)

    def pods(self, *, namespace: str, ray_job: str) -> tuple[Json, ...]:
        """The pods of the RayJob of that name: head, workers, submitter."""
        return tuple(
            pod
            for pod in self._cache(namespace, PODS).find(RAY_JOB_INDEX, ray_job)
            if pod["metadata"]["namespace"] == namespace
        )

    def gone_pods(self, *, namespace: str, ray_job: str) -> tuple[Json, ...]:
        """How the RayJob's pods looked that went lately."""
        return self._set(namespace).gone_pods.find(namespace=namespace, owner=ray_job)

    def progress_map(self, view: JobView) -> Json | None:
        """The ConfigMap the job's steps report to; not one of a former job of the same name."""
        key = f"{view.namespace}/{progress_map_name(view.name)}"
        found = self._cache(view.namespace, CONFIG_MAPS).get(key)
        return found if found is not None and is_controlled_by(found, view.uid) else None

    def _cache(self, namespace: str, resource: Resource) -> Cache:
        return self._set(namespace).caches[resource.plural]

    def _set(self, namespace: str) -> NamespaceCaches:
        return self._sets.get(namespace) or self._sets[""]


def share_strings(value: Any) -> Any:
    """The JSON value again, its names and short strings being the same objects wherever they are
    the same: half the memory of thousands of parsed objects is such copies."""
    if isinstance(value, dict):
        return {sys.intern(name): share_strings(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [share_strings(inner) for inner in value]
    if isinstance(value, str) and len(value) <= MAX_SHARED_CHARS:
        return sys.intern(value)
    return value


def _sharing(project: Projection) -> Projection:
    def shared(raw: Json) -> Json:
        found: Json = share_strings(project(raw))
        return found

    return shared


def _waking(resource: Resource, wake: Wake) -> Handler:
    """A job is woken by its own change; its objects name it in a label."""

    def handle(old: Json | None, new: Json | None) -> None:
        for obj in (new, old):
            if obj is None:
                continue
            metadata = obj["metadata"]
            if resource == DISTILLATION_JOBS:
                name = metadata["name"]
            else:
                name = (metadata.get("labels") or {}).get(JOB)
            if name:
                wake(f"{metadata['namespace']}/{name}")
                return

    return handle
