"""Nodes alone, for the real KubeRay operator where there is none: pods run and meet their fates.

Ray itself isn't there, so a RayJob gets as far as Running and its dashboard never answers.
"""

from functools import partial

from controller.kube.api import KubeApi
from controller.kube.resources import PODS, RAY_JOBS
from tests.doubles.kuberay.behaviour import Timing
from tests.doubles.kuberay.kubelet import Kubelet
from tests.doubles.kuberay.objects import CREATOR
from tests.doubles.kuberay.scripts import Behave, Scripts
from tests.doubles.kuberay.tries import Tries
from tests.doubles.kuberay.world import World


class NodesDouble:
    """Drives the pods that KubeRay created.

    Args:
        behave: As ``KubeRayDouble``'s; only the fates of pods count.
    """

    def __init__(self, api: KubeApi, *, behave: Behave, timing: Timing | None = None) -> None:
        self._world = World(api)
        self._scripts = Scripts(behave)
        self._kubelet = Kubelet(self._world, scripts=self._scripts, timing=timing or Timing())
        self.tries = Tries()

    def step(self, now_s: float) -> None:
        """Looks at everything once."""
        self.tries.attempt(partial(self._step, now_s))

    def _step(self, now_s: float) -> None:
        for ray_job in self._world.list_all(RAY_JOBS):
            self._scripts.learn(ray_job)
        labels = ",".join(f"{key}={value}" for key, value in CREATOR.items())
        for pod in self._world.list_all(PODS, labels):
            self.tries.attempt(partial(self._kubelet.look_at, pod, now_s))
