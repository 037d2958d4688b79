"""Which script each attempt's pods and driver follow: asked for once for each Ray cluster."""

from collections.abc import Callable

from controller.kube.api import Json
from tests.doubles.kuberay.behaviour import Script
from tests.doubles.kuberay.objects import CLUSTER_LABEL, ORIGIN_NAME_LABEL

Behave = Callable[[Json], Script]
"""From a RayJob to what becomes of it."""


class Scripts:
    """The scripts of all attempts, past ones too: their pods may be there still."""

    def __init__(self, behave: Behave) -> None:
        self._behave = behave
        self._scripts: dict[tuple[str, str], Script] = {}
        self._clusters: dict[tuple[str, str], str] = {}

    def learn(self, ray_job: Json) -> None:
        """Takes notice of the RayJob's cluster."""
        metadata = ray_job["metadata"]
        cluster = (ray_job.get("status") or {}).get("rayClusterName")
        if not cluster:
            return
        self._clusters[metadata["namespace"], metadata["name"]] = cluster
        key = (metadata["namespace"], cluster)
        if key not in self._scripts:
            self._scripts[key] = self._behave(ray_job)

    def of_cluster(self, namespace: str, cluster: str) -> Script:
        """The script of a Ray cluster."""
        return self._scripts.get((namespace, cluster), Script())

    def of_pod(self, pod: Json) -> Script:
        """The script of a head, worker or submitter pod."""
        return self.of_cluster(*self.place_of(pod))

    def place_of(self, pod: Json) -> tuple[str, str]:
        """Namespace and Ray cluster of a pod."""
        metadata = pod["metadata"]
        labels, namespace = metadata.get("labels") or {}, metadata["namespace"]
        if CLUSTER_LABEL in labels:
            return namespace, labels[CLUSTER_LABEL]
        name = labels.get(ORIGIN_NAME_LABEL, "")
        return namespace, self._clusters.get((namespace, name), "")
