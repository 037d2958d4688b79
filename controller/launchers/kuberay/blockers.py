"""What keeps an attempt's pods from starting, told while it does.

The first that is found: RayCluster that may not make pods, image, configuration, place. The same
words are the failure once KubeRay gives up (``preRunningDeadlineSeconds``). Pure.
"""

from collections.abc import Iterable

from controller.kube.api import Json
from controller.launchers.kuberay.evidence import EvidenceReason, place
from controller.launchers.kuberay.pod_views import PodView, Waiting
from controller.launchers.kuberay.wording import phrase
from controller.plan.snapshot import Failure, FailureKind

_IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
)
_CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def find_blocker(step: str, pods: Iterable[PodView], ray_cluster: Json | None) -> Failure | None:
    """What keeps the pods from starting; None where nothing is known to."""
    pods = [pod for pod in pods if not pod.has_ended and not pod.is_deleting]
    for pod in pods:
        for waiting in pod.waitings:
            if waiting.reason in _IMAGE_REASONS:
                return _no_image(step, pod, waiting)
            if waiting.reason in _CONFIG_REASONS:
                return _no_config(step, pod, waiting)
    for pod in pods:
        if pod.unschedulable:
            return _no_place(step, pod)
    return _no_pods(step, ray_cluster)


def _no_image(step: str, pod: PodView, waiting: Waiting) -> Failure:
    return Failure(
        reason=EvidenceReason.IMAGE_PULL_FAILED,
        message=phrase(
            place(step, pod),
            f"can't get image {waiting.image[-80:]}",
            got=waiting.reason,
            way_out="see spec.runtime.image and the pull secrets",
        ),
        retriable=True,
    )


def _no_config(step: str, pod: PodView, waiting: Waiting) -> Failure:
    return Failure(
        reason=EvidenceReason.CONTAINER_CONFIG_INVALID,
        message=phrase(
            place(step, pod),
            "can't be set up",
            got=f"{waiting.reason} '{waiting.message}'",
            way_out="make what is missing, or see spec.credentials",
        ),
        retriable=True,
    )


def _no_place(step: str, pod: PodView) -> Failure:
    return Failure(
        reason=EvidenceReason.UNSCHEDULABLE,
        message=phrase(
            place(step, pod),
            "finds no place",
            got=f"'{pod.unschedulable}'",
            way_out="free or add what is missing, or ask for less",
        ),
        retriable=True,
        kind=FailureKind.UNSCHEDULABLE,
    )


def _no_pods(step: str, ray_cluster: Json | None) -> Failure | None:
    """KubeRay's condition ReplicaFailure: a quota or an admission policy refuses the pods."""
    for each in ((ray_cluster or {}).get("status") or {}).get("conditions") or ():
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            message = each.get("message") or each.get("reason") or ""
            is_quota = "exceeded quota" in message
            return Failure(
                reason=EvidenceReason.UNSCHEDULABLE if is_quota else EvidenceReason.POD_REFUSED,
                message=phrase(
                    step,
                    "its pods are refused",
                    got=f"'{message}'",
                    way_out="wait for or raise the quota" if is_quota else "see spec.runtime",
                ),
                retriable=True,
                kind=FailureKind.UNSCHEDULABLE if is_quota else FailureKind.OWN,
            )
    return None
