"""How the cluster saw an attempt fail, where its driver had no last word: from pods and RayJob.

The first abnormal end of a pod is what counts, the more telling one where several are seen. What
keeps pods from starting is ``blockers.py``'s; when an attempt has ended, and which evidence is
asked, ``observing.py``'s. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.launchers.kuberay.pod_views import ORDINARY_ENDS, NodeType, PodView, Termination
from controller.launchers.kuberay.wording import phrase
from controller.plan.snapshot import Failure, FailureKind


class EvidenceReason(StrEnum):
    """Why an attempt failed, seen from outside."""

    PREEMPTED = "Preempted"
    EVICTED = "Evicted"
    OUT_OF_MEMORY = "OutOfMemory"
    CONTAINER_FAILED = "ContainerFailed"
    POD_REFUSED = "PodRefused"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    UNSCHEDULABLE = "Unschedulable"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    HEAD_LOST = "HeadLost"
    CHILD_DELETED = "ChildDeleted"
    CHILD_INVALID = "ChildInvalid"
    SUBMISSION_FAILED = "SubmissionFailed"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """An abnormal end of a pod. ``is_bare``: a container merely exited with an error, which may be
    the consequence of another pod's end."""

    node_type: NodeType
    failure: Failure
    is_bare: bool = False

    @property
    def rank(self) -> int:
        """The lower, the more it explains: known causes before bare errors, heads before workers,
        and the submitter last of all."""
        return _RANKS[self.node_type] + _RANKS_OF_CAUSES * self.is_bare


_SHUTDOWN_REASONS = ("NodeShutdown", "Terminated", "Shutdown", "NodeLost", "Preempting")
_RANKS = {NodeType.HEAD: 0, NodeType.WORKER: 1, NodeType.SUBMITTER: 4}
_RANKS_OF_CAUSES = 2


def find_end(step: str, pods: Iterable[PodView], *, is_winding_down: bool) -> Sighting | None:
    """The most telling abnormal end among the pods, the first of several; None where there is none.

    Args:
        is_winding_down: The attempt is being taken down: pods that go with an error are no news.
    """
    found = [
        ((sighting.rank, _finished_at(pod), pod.name), sighting)
        for pod in pods
        if (sighting := _end_of(step, pod, is_winding_down)) is not None
    ]
    return min(found, key=lambda item: item[0])[1] if found else None


def more_telling(known: Sighting | None, seen: Sighting | None) -> Sighting | None:
    """Of two sightings the one that explains more; the known one where they are equal."""
    if known is None or seen is None:
        return known or seen
    return seen if seen.rank < known.rank else known


def _end_of(step: str, pod: PodView, is_winding_down: bool) -> Sighting | None:
    cause = _cause(step, pod)
    if cause is not None:
        return Sighting(node_type=pod.node_type, failure=cause)
    if pod.node_type == NodeType.SUBMITTER or (is_winding_down and pod.is_deleting):
        return None
    error = _bare_error(step, pod)
    if error is None:
        return None
    return Sighting(node_type=pod.node_type, failure=error, is_bare=True)


def _cause(step: str, pod: PodView) -> Failure | None:
    if pod.reason == "Evicted":
        return _evicted(step, pod)
    if pod.disruption or pod.reason in _SHUTDOWN_REASONS:
        return _preempted(step, pod)
    ended = next((each for each in pod.terminations if each.reason == "OOMKilled"), None)
    return _out_of_memory(step, pod, ended) if ended else None


def _bare_error(step: str, pod: PodView) -> Failure | None:
    for ended in pod.terminations:
        if ended.exit_code and not (pod.is_deleting and ended.exit_code in ORDINARY_ENDS):
            return _container_failed(step, pod, ended)
    is_refused = pod.phase == "Failed" and bool(pod.reason) and not pod.terminations
    return _refused(step, pod) if is_refused else None


def _evicted(step: str, pod: PodView) -> Failure:
    return Failure(
        reason=EvidenceReason.EVICTED,
        message=phrase(
            place(step, pod),
            "was evicted by its node",
            got=f"'{pod.message}'",
            way_out=f"raise memory or scratch in {_field(pod)}, or spec.runtime.scratchGib",
        ),
        retriable=True,
    )


def _preempted(step: str, pod: PodView) -> Failure:
    return Failure(
        reason=EvidenceReason.PREEMPTED,
        message=phrase(
            place(step, pod),
            f"was taken away{_on_node(pod)}",
            got=pod.disruption or pod.reason,
            way_out="the step is tried again and goes on from what is stored",
        ),
        retriable=True,
        kind=FailureKind.PREEMPTION,
    )


def _out_of_memory(step: str, pod: PodView, ended: Termination) -> Failure:
    limit = ended.memory_limit
    return Failure(
        reason=EvidenceReason.OUT_OF_MEMORY,
        message=phrase(
            place(step, pod),
            f"container {ended.container} ran out of memory",
            got=f"a limit of {limit}" if limit else "no limit of its own",
            way_out=f"raise its memory in {_field(pod)}",
        ),
        retriable=True,
    )


def _container_failed(step: str, pod: PodView, ended: Termination) -> Failure:
    why = f" ({ended.reason})" if ended.reason and ended.reason != "Error" else ""
    return Failure(
        reason=EvidenceReason.CONTAINER_FAILED,
        message=phrase(
            place(step, pod),
            f"container {ended.container} ended{_on_node(pod)}",
            got=f"exit code {ended.exit_code}{why}",
            way_out="see its log below the job's storage",
        ),
        retriable=True,
    )


def _refused(step: str, pod: PodView) -> Failure:
    return Failure(
        reason=EvidenceReason.POD_REFUSED,
        message=phrase(
            place(step, pod),
            f"was refused{_on_node(pod)}",
            got=f"{pod.reason} '{pod.message}'" if pod.message else pod.reason,
            way_out="see that the node has what the pod asks for",
        ),
        retriable=True,
        kind=FailureKind.UNSCHEDULABLE,
    )


def place(step: str, pod: PodView) -> str:
    """How a message names the pod."""
    return f"{step}: {pod.node_type} pod {pod.name}"


def _field(pod: PodView) -> str:
    return "spec.runtime.workers" if pod.node_type == NodeType.WORKER else "spec.runtime.head"


def _on_node(pod: PodView) -> str:
    return f" on node {pod.node}" if pod.node else ""


def _finished_at(pod: PodView) -> str:
    return min((each.finished_at for each in pod.terminations), default="")
