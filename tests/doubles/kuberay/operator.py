"""The double itself: one look at everything, and what is due done. See the package's map."""

from collections.abc import Callable
from functools import partial
from itertools import groupby

from controller.kube.api import Json, KubeApi
from controller.kube.resources import PODS, RAY_CLUSTERS, RAY_JOBS
from tests.doubles.api_kinds import BATCH_JOBS
from tests.doubles.kuberay.behaviour import Timing
from tests.doubles.kuberay.clusters import RayClusters, is_running
from tests.doubles.kuberay.endings import timestamp
from tests.doubles.kuberay.kubelet import Kubelet
from tests.doubles.kuberay.names import Names
from tests.doubles.kuberay.objects import CLUSTER_LABEL, CREATOR, NODE_TYPE_LABEL, ORIGIN_NAME_LABEL
from tests.doubles.kuberay.ray_side import RaySide
from tests.doubles.kuberay.rayjobs import RayJobs
from tests.doubles.kuberay.scripts import Behave, Scripts
from tests.doubles.kuberay.submitters import JobController, Submitters, is_submitter
from tests.doubles.kuberay.tries import Tries
from tests.doubles.kuberay.world import World

_OURS = ",".join(f"{key}={value}" for key, value in CREATOR.items())


class KubeRayDouble:
    """KubeRay on ``api``. Each ``step`` makes at most one transition of each object.

    Args:
        behave: What becomes of a RayJob, asked for once for each of its Ray clusters.
        has_job_controller: Whether a kube-controller-manager makes the pods of Jobs.
        collect_garbage: Called after each step, where nobody else removes what has lost its owner.
    """

    def __init__(
        self,
        api: KubeApi,
        *,
        behave: Behave,
        timing: Timing | None = None,
        has_job_controller: bool = False,
        collect_garbage: Callable[[], object] | None = None,
    ) -> None:
        timing = timing or Timing()
        names = Names()
        self._world = World(api)
        self._scripts = Scripts(behave)
        self._collect_garbage = collect_garbage
        self.ray = RaySide(self._world, scripts=self._scripts, timing=timing)
        self._kubelet = Kubelet(self._world, scripts=self._scripts, timing=timing)
        self._ray_jobs = RayJobs(self._world, ray=self.ray, timing=timing, names=names)
        self._clusters = RayClusters(self._world, scripts=self._scripts, names=names)
        self._job_controller = (
            None if has_job_controller else JobController(self._world, names=names)
        )
        self._submitters = Submitters(ray=self.ray, kubelet=self._kubelet, timing=timing)
        self._tries = Tries()

    @property
    def faults(self) -> list[str]:
        """What the API server refused; each was left for the next step."""
        return self._tries.faults

    def step(self, now_s: float) -> None:
        """Looks at everything once.

        Args:
            now_s: Seconds since the epoch.
        """
        self._tries.attempt(partial(self._step_ray_jobs, now_s))
        self._tries.attempt(partial(self._step_clusters, timestamp(now_s)))
        self._tries.attempt(partial(self._step_jobs, timestamp(now_s)))
        self._tries.attempt(partial(self._step_pods, now_s))
        self.ray.tick(now_s)
        if self._collect_garbage is not None:
            self._collect_garbage()

    def _step_ray_jobs(self, now_s: float) -> None:
        for ray_job in self._world.list_all(RAY_JOBS):
            self._scripts.learn(ray_job)
            self._tries.attempt(partial(self._ray_jobs.look_at, ray_job, now_s))

    def _step_clusters(self, now: str) -> None:
        pods = self._pods(lambda pod: self._scripts.place_of(pod))
        for cluster in self._world.list_all(RAY_CLUSTERS):
            place = (cluster["metadata"]["namespace"], cluster["metadata"]["name"])
            own = [pod for pod in pods.get(place, []) if not is_submitter(pod)]
            self._tries.attempt(partial(self._clusters.look_at, cluster, own, now))

    def _step_jobs(self, now: str) -> None:
        if self._job_controller is None:
            return
        controller = self._job_controller
        pods = self._pods(_owner_uid)
        for job in self._world.list_all(BATCH_JOBS, _OURS):
            own = pods.get(job["metadata"]["uid"], [])
            self._tries.attempt(partial(controller.look_at, job, own, now))

    def _step_pods(self, now_s: float) -> None:
        pods = self._world.list_all(PODS, _OURS)
        for pod in pods:
            self._tries.attempt(partial(self._kubelet.look_at, pod, now_s))
        pods = self._world.list_all(PODS, _OURS)
        self.ray.see_heads(pods)
        ray_jobs = {
            (each["metadata"]["namespace"], each["metadata"]["name"]): each
            for each in self._world.list_all(RAY_JOBS)
        }
        for pod in filter(is_submitter, pods):
            labels, namespace = pod["metadata"]["labels"], pod["metadata"]["namespace"]
            ray_job = ray_jobs.get((namespace, labels.get(ORIGIN_NAME_LABEL, "")))
            if ray_job is not None and "deletionTimestamp" not in pod["metadata"]:
                heads = [each for each in pods if _is_head_of(each, ray_job)]
                self._tries.attempt(partial(self._submitters.look_at, pod, ray_job, heads, now_s))

    def _pods(self, key: Callable[[Json], object]) -> dict[object, list[Json]]:
        """All pods of the double, in groups."""
        pods = sorted(self._world.list_all(PODS, _OURS), key=lambda pod: str(key(pod)))
        return {group: list(members) for group, members in groupby(pods, key)}


def _owner_uid(pod: Json) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))


def _is_head_of(pod: Json, ray_job: Json) -> bool:
    metadata = pod["metadata"]
    labels = metadata["labels"]
    return (
        labels.get(NODE_TYPE_LABEL) == "head"
        and labels.get(CLUSTER_LABEL) == ray_job["status"].get("rayClusterName")
        and metadata["namespace"] == ray_job["metadata"]["namespace"]
        and is_running(pod)
    )
