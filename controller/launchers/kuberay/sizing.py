"""How big a step's containers are, and what follows from it: shared memory, CPUs told to Ray.

The sizes may be the installation's or a job's override, so much of this comes after the merge.
"""

from collections.abc import Iterator
from fractions import Fraction

from controller.kube.api import Json
from controller.launchers.kuberay.installation import PodSize
from controller.launchers.kuberay.quantities import MIB, parse_quantity
from controller.launchers.kuberay.volumes import SHM
from distillery.errors import Problem

_SHM_SHARE = 2
"""Shared memory is a half of the memory limit, in which it counts: Linux's own default."""
_MIN_SHM_MIB = 64
_OWN_DISK_GIB = 2
"""Beside the scratch disk: container logs and what little is written elsewhere."""


def shipper_resources() -> Json:
    """What the log shipper gets."""
    amounts = {"ephemeral-storage": "256Mi"}
    return {
        "requests": {"cpu": "50m", "memory": "256Mi", **amounts},
        "limits": {"cpu": "500m", "memory": "512Mi", **amounts},
    }


def submitter_resources() -> Json:
    """What the submitter gets."""
    amounts = {"ephemeral-storage": "256Mi"}
    return {
        "requests": {"cpu": "100m", "memory": "256Mi", **amounts},
        "limits": {"cpu": "1", "memory": "1Gi", **amounts},
    }


def ray_resources(size: PodSize, *, scratch_gib: int, gpus: int, gpu_resource: str) -> Json:
    """What a Ray container gets without overrides: what it asks for is what it may use."""
    amounts = {
        "cpu": str(size.cpus),
        "memory": f"{size.memory_gib}Gi",
        "ephemeral-storage": f"{scratch_gib + _OWN_DISK_GIB}Gi",
    }
    if gpus:
        amounts[gpu_resource] = str(gpus)
    return {"requests": dict(amounts), "limits": dict(amounts)}


def size_shared_memory(template: Json) -> Json:
    """The template with the size of its shared memory, by the Ray container's memory limit."""
    size = f"{max(_MIN_SHM_MIB, int(_limit(template, 'memory')) // _SHM_SHARE // MIB)}Mi"
    volumes = [
        {**volume, "emptyDir": {**volume["emptyDir"], "sizeLimit": size}}
        if volume["name"] == SHM
        else volume
        for volume in template["spec"]["volumes"]
    ]
    return {**template, "spec": {**template["spec"], "volumes": volumes}}


def cpus_of(template: Json) -> int:
    """The whole CPUs that a template's Ray container may use."""
    return int(_limit(template, "cpu"))


def find_size_problems(template: Json, path: str) -> Iterator[Problem]:
    """Requests of our own two containers above their limits, which no node takes."""
    for container in template["spec"]["containers"][:2]:
        resources = container.get("resources", {})
        limits = resources.get("limits", {})
        for name, amount in resources.get("requests", {}).items():
            request, limit = parse_quantity(amount), parse_quantity(limits.get(name))
            if request is not None and limit is not None and request > limit:
                place = f"{path}.spec.containers[{container['name']}].resources.requests[{name}]"
                message = f"must be at most the limit ({limits[name]}), got {amount}; set both"
                yield Problem(path=place, message=message)


def _limit(template: Json, name: str) -> Fraction:
    limit = parse_quantity(template["spec"]["containers"][0]["resources"]["limits"][name])
    assert limit is not None, "ours, or checked with the override that set it"
    return limit
