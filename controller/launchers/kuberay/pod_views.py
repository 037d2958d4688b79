"""A pod as the API server shows it, read once: what ended in it, what it waits for, who took it.

Judging is ``evidence.py``'s. A pod may be projected (``projections.py``); what is missing reads as
nothing. Only the Ray container (KubeRay: the first) and the init containers speak for a pod.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.kube.api import Json

NODE_TYPE_LABEL = "ray.io/node-type"
ORDINARY_ENDS = (137, 143)
"""Exit codes of a process that was told to go: SIGKILL and SIGTERM."""


class NodeType(StrEnum):
    """What a pod of an attempt is for; the most telling first."""

    HEAD = "head"
    WORKER = "worker"
    SUBMITTER = "submitter"


@dataclass(frozen=True, kw_only=True)
class Container:
    """What is known of a container's making."""

    image: str = ""
    memory_limit: str = ""


@dataclass(frozen=True, kw_only=True)
class Termination:
    """How a container ended. ``finished_at`` is the node's own time."""

    container: str
    exit_code: int
    reason: str
    finished_at: str
    memory_limit: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Why a container hasn't started."""

    reason: str
    message: str
    image: str


@dataclass(frozen=True, kw_only=True)
class PodView:
    """One pod. ``reason`` and ``message`` are its status's own; ``disruption`` is why the system
    took it (the reason of DisruptionTarget); ``unschedulable`` is what the scheduler says."""

    name: str
    node_type: NodeType
    node: str
    phase: str
    reason: str
    message: str
    is_deleting: bool
    terminations: tuple[Termination, ...]
    waitings: tuple[Waiting, ...]
    disruption: str
    unschedulable: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more, though the object may be there."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def is_alive(self) -> bool:
        """Whether it may go on working."""
        return not (self.has_ended or self.is_deleting or self.terminations)


def read_pod(raw: Json) -> PodView:
    """The pod, read."""
    metadata, spec, status = (raw.get(part) or {} for part in ("metadata", "spec", "status"))
    containers = dict(_containers(spec))
    shown = list(_shown_statuses(spec, status))
    label = (metadata.get("labels") or {}).get(NODE_TYPE_LABEL, "")
    known = (NodeType.HEAD, NodeType.WORKER)
    return PodView(
        name=metadata.get("name", ""),
        node_type=NodeType(label) if label in known else NodeType.SUBMITTER,
        node=spec.get("nodeName", ""),
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        is_deleting="deletionTimestamp" in metadata,
        terminations=tuple(_terminations(shown, containers, spec)),
        waitings=tuple(_waitings(shown, containers)),
        disruption=_condition(status, "DisruptionTarget", "True").get("reason", ""),
        unschedulable=_unschedulable(status),
    )


def _containers(spec: Mapping[str, Any]) -> Iterator[tuple[str, Container]]:
    for each in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        limits = (each.get("resources") or {}).get("limits") or {}
        yield (
            each["name"],
            Container(image=each.get("image", ""), memory_limit=str(limits.get("memory", ""))),
        )


def _shown_statuses(
    spec: Mapping[str, Any], status: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The statuses of the init containers and the Ray container: sidecars are left out."""
    yield from status.get("initContainerStatuses") or ()
    statuses = status.get("containerStatuses") or ()
    containers = spec.get("containers") or ()
    first = containers[0]["name"] if containers else ""
    yield from (each for each in statuses if each.get("name") == first or not first)


def _terminations(
    statuses: Iterable[Mapping[str, Any]],
    containers: Mapping[str, Container],
    spec: Mapping[str, Any],
) -> Iterator[Termination]:
    """The Ray container's end, and those of init containers that failed."""
    inits = {each["name"] for each in spec.get("initContainers") or ()}
    for each in statuses:
        ended = (each.get("state") or {}).get("terminated")
        name = each.get("name", "")
        if not ended or (name in inits and ended.get("exitCode") == 0):
            continue
        yield Termination(
            container=name,
            exit_code=ended.get("exitCode", 0),
            reason=ended.get("reason", ""),
            finished_at=ended.get("finishedAt") or "",
            memory_limit=containers.get(name, Container()).memory_limit,
        )


def _waitings(
    statuses: Iterable[Mapping[str, Any]], containers: Mapping[str, Container]
) -> Iterator[Waiting]:
    for each in statuses:
        waiting = (each.get("state") or {}).get("waiting")
        if waiting:
            name = each.get("name", "")
            yield Waiting(
                reason=waiting.get("reason", ""),
                message=waiting.get("message", ""),
                image=each.get("image") or containers.get(name, Container()).image,
            )


def _unschedulable(status: Mapping[str, Any]) -> str:
    condition = _condition(status, "PodScheduled", "False")
    return condition.get("message") or condition.get("reason") or ""


def _condition(status: Mapping[str, Any], kind: str, value: str) -> Mapping[str, Any]:
    for each in status.get("conditions") or ():
        if each.get("type") == kind and each.get("status") == value:
            found: Mapping[str, Any] = each
            return found
    return {}
