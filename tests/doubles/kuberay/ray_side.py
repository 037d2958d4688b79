"""The Ray clusters behind the dashboards: one driver each, alive as long as its head pod."""

from controller.kube.api import Json
from tests.doubles.kuberay.behaviour import Behaviour, Timing
from tests.doubles.kuberay.drivers import Driver, JobInfo, ScriptedDriver
from tests.doubles.kuberay.pods import variables_of
from tests.doubles.kuberay.real_drivers import RealDriver, RunForReal
from tests.doubles.kuberay.scripts import Scripts
from tests.doubles.kuberay.world import World


class DashboardDownError(Exception):
    """The head pod doesn't answer."""


class RaySide:
    """All Ray clusters, by namespace and cluster name."""

    def __init__(self, world: World, *, scripts: Scripts, timing: Timing) -> None:
        self._world = world
        self._scripts = scripts
        self._timing = timing
        self._drivers: dict[tuple[str, str], tuple[str, Driver]] = {}
        self._heads: dict[tuple[str, str], str] = {}
        self.num_starts: dict[str, int] = {}
        """Submission id to how often its driver was started: more than once is a fault."""

    def see_heads(self, pods: list[Json]) -> None:
        """Takes notice of the head pods that run; the drivers of others die."""
        self._heads = {
            self._scripts.place_of(pod): pod["metadata"]["uid"] for pod in pods if _is_up(pod)
        }
        for place, (head, driver) in list(self._drivers.items()):
            if self._heads.get(place) != head:
                driver.stop()
                del self._drivers[place]

    def tick(self, now_s: float) -> None:
        """Lets the drivers do what is due."""
        for _, driver in self._drivers.values():
            driver.tick(now_s)

    def submit(self, ray_job: Json, head: Json, now_s: float) -> None:
        """Starts the RayJob's driver, unless this cluster has it."""
        place = self._scripts.place_of(head)
        if place in self._drivers:
            return
        script = self._scripts.of_cluster(*place)
        driver: Driver
        if isinstance(script, RunForReal):
            driver = RealDriver(script, ray_job=ray_job, head=head, now_s=now_s)
        else:
            driver = ScriptedDriver(
                script if isinstance(script, Behaviour) else Behaviour(),
                world=self._world,
                variables=variables_of(head),
                pending_s=self._timing.pending_s,
                now_s=now_s,
            )
        job_id = ray_job["status"]["jobId"]
        self.num_starts[job_id] = self.num_starts.get(job_id, 0) + 1
        self._drivers[place] = (head["metadata"]["uid"], driver)

    def info(self, namespace: str, cluster: str) -> JobInfo | None:
        """What the dashboard says of the driver; None where it knows none.

        Raises: ``DashboardDownError``.
        """
        if (namespace, cluster) not in self._heads:
            raise DashboardDownError
        found = self._drivers.get((namespace, cluster))
        return found[1].info() if found else None

    def stop(self, namespace: str, cluster: str) -> None:
        """Stops the driver, if there is one."""
        found = self._drivers.get((namespace, cluster))
        if found:
            found[1].stop()


def _is_up(pod: Json) -> bool:
    status = pod.get("status") or {}
    return (
        pod["metadata"].get("labels", {}).get("ray.io/node-type") == "head"
        and status.get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
    )
