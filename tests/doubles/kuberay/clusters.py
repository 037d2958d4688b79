"""The life of a RayCluster: its token, its service, its pods, and what its status says of them."""

from controller.kube.api import Json
from controller.kube.faults import ForbiddenError, InvalidError
from controller.kube.resources import PODS, RAY_CLUSTERS, SECRETS
from tests.doubles.api_kinds import SERVICES
from tests.doubles.kuberay.names import Names
from tests.doubles.kuberay.objects import (
    GROUP_LABEL,
    KEEP_HEAD_DEAD,
    NODE_TYPE_LABEL,
    build_cluster_service,
    build_token,
)
from tests.doubles.kuberay.pods import LINGER, build_head_pod, build_worker_pod
from tests.doubles.kuberay.scripts import Scripts
from tests.doubles.kuberay.world import World


class RayClusters:
    """What KubeRay does to RayClusters."""

    def __init__(self, world: World, *, scripts: Scripts, names: Names) -> None:
        self._world = world
        self._scripts = scripts
        self._names = names

    def look_at(self, cluster: Json, pods: list[Json], now: str) -> None:
        """Does what is due for one cluster.

        Args:
            pods: Its own.
            now: As a timestamp.
        """
        if "deletionTimestamp" in cluster["metadata"]:
            return
        if (cluster["spec"].get("authOptions") or {}).get("mode") == "token":
            token = self._names.suffix() * 8
            self._world.ensure(SECRETS, build_token(cluster, token=token))
        self._world.ensure(SERVICES, build_cluster_service(cluster))
        refusal = ""
        try:
            self._tend(cluster, pods)
        except (ForbiddenError, InvalidError) as error:
            refusal = error.message
        self._tell(cluster, pods, refusal, now)

    def _tend(self, cluster: Json, pods: list[Json]) -> None:
        """Removes pods that ended and creates those that miss, the head first."""
        heads = [pod for pod in pods if _type_of(pod) == "head"]
        self._remove_ended(heads)
        if not heads and not _is_left_headless(cluster):
            self._create(cluster, build_head_pod(cluster, suffix=self._names.suffix()))
        for group in cluster["spec"].get("workerGroupSpecs") or ():
            own = [
                pod
                for pod in pods
                if pod["metadata"]["labels"].get(GROUP_LABEL) == group["groupName"]
            ]
            if self._remove_ended(own):
                continue
            wanted = group.get("replicas", 0) * group.get("numOfHosts", 1)
            for _ in range(wanted - len(own)):
                pod = build_worker_pod(cluster, group, suffix=self._names.suffix())
                self._create(cluster, pod)

    def _create(self, cluster: Json, pod: Json) -> None:
        metadata = cluster["metadata"]
        script = self._scripts.of_cluster(metadata["namespace"], metadata["name"])
        if script.pods_linger_s:
            pod["metadata"]["finalizers"] = [LINGER]
        self._world.create(PODS, pod)

    def _remove_ended(self, pods: list[Json]) -> int:
        ended = [pod for pod in pods if has_ended(pod)]
        for pod in ended:
            self._world.delete(PODS, pod)
        return len(ended)

    def _tell(self, cluster: Json, pods: list[Json], refusal: str, now: str) -> None:
        head = next((pod for pod in pods if _type_of(pod) == "head"), None)
        workers = [pod for pod in pods if _type_of(pod) == "worker"]
        desired = num_desired_workers(cluster)
        all_run = len(pods) == desired + 1 and all(is_ready(pod) for pod in pods)
        was_provisioned = _is_provisioned(cluster)
        conditions = [
            _condition("HeadPodReady", is_ready(head), _head_reason(head), now),
            _condition(
                "RayClusterProvisioned",
                was_provisioned or all_run,
                "AllPodRunningAndReadyFirstTime"
                if was_provisioned or all_run
                else "RayClusterPodsProvisioning",
                now,
            ),
        ]
        if refusal:
            reason = "FailedCreateHeadPod" if head is None else "FailedCreateWorkerPod"
            conditions.append(_condition("ReplicaFailure", True, reason, now, refusal))
        changes: Json = {
            "desiredWorkerReplicas": desired,
            "availableWorkerReplicas": sum(map(is_running, workers)),
            "readyWorkerReplicas": sum(map(is_ready, workers)),
            "head": {"serviceName": f"{cluster['metadata']['name']}-head-svc"},
            "conditions": _keep_times(cluster, conditions),
        }
        if all_run:
            changes["state"] = "ready"
        self._world.change_status(RAY_CLUSTERS, cluster, changes)


def num_desired_workers(cluster: Json) -> int:
    """How many worker pods the cluster is to have."""
    groups = cluster["spec"].get("workerGroupSpecs") or ()
    return sum(each.get("replicas", 0) * each.get("numOfHosts", 1) for each in groups)


def is_running(pod: Json | None) -> bool:
    """Whether the pod's phase is Running."""
    return pod is not None and (pod.get("status") or {}).get("phase") == "Running"


def is_ready(pod: Json | None) -> bool:
    """Whether the pod runs and passes its probes."""
    if pod is None or not is_running(pod):
        return False
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def has_ended(pod: Json) -> bool:
    """Whether nothing of the pod runs any more."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _type_of(pod: Json) -> str:
    return str(pod["metadata"].get("labels", {}).get(NODE_TYPE_LABEL, ""))


def _is_provisioned(cluster: Json) -> bool:
    conditions = (cluster.get("status") or {}).get("conditions") or ()
    return any(
        each["type"] == "RayClusterProvisioned" and each["status"] == "True" for each in conditions
    )


def _is_left_headless(cluster: Json) -> bool:
    """Whether a lost head stays lost, as we ask for."""
    asked = (cluster["metadata"].get("annotations") or {}).get(KEEP_HEAD_DEAD) == "true"
    return asked and _is_provisioned(cluster)


def _head_reason(head: Json | None) -> str:
    if head is None:
        return "HeadPodNotFound"
    return "HeadPodRunningAndReady" if is_ready(head) else "ContainersNotReady"


def _condition(kind: str, holds: bool, reason: str, now: str, message: str = "") -> Json:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }


def _keep_times(cluster: Json, conditions: list[Json]) -> list[Json]:
    """The conditions, each with the time it had where its status is the same."""
    old = {each["type"]: each for each in (cluster.get("status") or {}).get("conditions") or ()}
    return [
        {**each, "lastTransitionTime": old[each["type"]]["lastTransitionTime"]}
        if each["type"] in old and old[each["type"]]["status"] == each["status"]
        else each
        for each in conditions
    ]
