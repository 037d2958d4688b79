"""What may befall a pod, with the status a real node or scheduler would leave behind."""

from collections.abc import Callable
from typing import Any

from controller.kube.api import Json
from tests.doubles.kuberay.behaviour import PodFate

Status = Callable[[Json], Json]


def oom_killed(node_type: str = "head", *, after_s: float, index: int = 0) -> PodFate:
    """The kernel kills the Ray container for want of memory."""
    status = _ended(exit_code=137, reason="OOMKilled")
    return PodFate(status=status, node_type=node_type, after_s=after_s, index=index)


def crashed(
    node_type: str = "head", *, after_s: float, exit_code: int = 1, index: int = 0
) -> PodFate:
    """The Ray container ends by itself."""
    status = _ended(exit_code=exit_code, reason="Error")
    return PodFate(status=status, node_type=node_type, after_s=after_s, index=index)


def preempted(
    node_type: str = "head",
    *,
    after_s: float,
    reason: str = "PreemptionByScheduler",
    index: int = 0,
) -> PodFate:
    """The scheduler, or the loss of its node, takes the pod away: ``reason`` of DisruptionTarget."""
    status = _ended(exit_code=143, reason="Error", disruption=reason)
    return PodFate(
        status=status, node_type=node_type, after_s=after_s, index=index, is_deleted=True
    )


def evicted(node_type: str = "head", *, after_s: float, resource: str = "memory") -> PodFate:
    """The node is short of a resource and drops the pod."""
    message = f"The node was low on resource: {resource}. Threshold quantity: 100Mi"
    status = _ended(
        exit_code=137, reason="Error", disruption="TerminationByKubelet", pod=("Evicted", message)
    )
    return PodFate(status=status, node_type=node_type, after_s=after_s)


def node_shut_down(node_type: str = "head", *, after_s: float) -> PodFate:
    """The pod's node goes down in good order."""
    message = "Pod was terminated in response to imminent node shutdown."
    status = _ended(
        exit_code=137,
        reason="Error",
        disruption="TerminationByKubelet",
        pod=("Terminated", message),
    )
    return PodFate(status=status, node_type=node_type, after_s=after_s)


def deleted(node_type: str = "head", *, after_s: float) -> PodFate:
    """Somebody deletes the pod."""
    return PodFate(status=lambda pod: {}, node_type=node_type, after_s=after_s, is_deleted=True)


def unschedulable(
    node_type: str = "head",
    *,
    message: str = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    until_s: float | None = None,
) -> PodFate:
    """No node has room for the pod."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return PodFate(
        status=lambda pod: {"phase": "Pending", "conditions": [condition]},
        node_type=node_type,
        until_s=until_s,
    )


def image_missing(node_type: str = "head", *, until_s: float | None = None) -> PodFate:
    """The registry has no such image, or gives it to nobody."""
    status = _waiting("ImagePullBackOff", "Back-off pulling image")
    return PodFate(status=status, node_type=node_type, until_s=until_s)


def secret_missing(name: str, *, node_type: str = "head", until_s: float | None = None) -> PodFate:
    """The container wants a secret that isn't there."""
    status = _waiting("CreateContainerConfigError", f'secret "{name}" not found')
    return PodFate(status=status, node_type=node_type, until_s=until_s)


def container_status(container: Json, state: Json, *, is_ready: bool = False) -> Json:
    """The status of one container in full, as the API server wants it."""
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": is_ready,
        "restartCount": 0,
        "started": is_ready,
        "state": state,
    }


def _ended(
    *, exit_code: int, reason: str, disruption: str = "", pod: tuple[str, str] = ("", "")
) -> Status:
    """The Ray container ends so, and the others with it."""

    def status(raw: Json) -> Json:
        first, *others = raw["spec"]["containers"]
        changed: dict[str, Any] = {
            "phase": "Failed",
            "containerStatuses": [
                container_status(first, _terminated(exit_code, reason)),
                *(container_status(each, _terminated(0, "Completed")) for each in others),
            ],
            "conditions": [_condition("Ready", "False", "PodFailed")],
        }
        if disruption:
            changed["conditions"].append(_condition("DisruptionTarget", "True", disruption))
        if pod[0]:
            changed |= {"reason": pod[0], "message": pod[1]}
        return changed

    return status


def _waiting(reason: str, message: str) -> Status:
    def status(raw: Json) -> Json:
        waits = {"waiting": {"reason": reason, "message": message}}
        containers = raw["spec"]["containers"]
        return {
            "phase": "Pending",
            "conditions": [_condition("PodScheduled", "True", "")],
            "containerStatuses": [container_status(each, waits) for each in containers],
        }

    return status


def _terminated(exit_code: int, reason: str) -> Json:
    return {"terminated": {"exitCode": exit_code, "reason": reason}}


def _condition(kind: str, status: str, reason: str) -> Json:
    return {"type": kind, "status": status, **({"reason": reason} if reason else {})}
