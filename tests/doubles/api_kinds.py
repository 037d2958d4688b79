"""The kinds that the API server in memory serves, and what a real one does for each of them.

``api_server.py`` asks here which parts of an object are whose. Schemas are not checked: tests give
a ``refuse`` hook where they need a refusal.
"""

from dataclasses import dataclass

from controller.kube import resources
from controller.kube.resources import Resource

NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace")
SERVICES = Resource(group="", version="v1", plural="services", kind="Service")
BATCH_JOBS = Resource(group="batch", version="v1", plural="jobs", kind="Job")


@dataclass(frozen=True, kw_only=True)
class ServedKind:
    """A kind and its rules.

    ``has_status``: status is written through the subresource only. ``has_generation``: a change
    outside metadata and status raises ``metadata.generation``. ``is_custom``: it comes from a CRD;
    only then do the items of a list name their kind.
    """

    resource: Resource
    has_status: bool = False
    has_generation: bool = False
    is_custom: bool = False
    is_namespaced: bool = True


def custom(resource: Resource, *, has_status: bool = True) -> ServedKind:
    """The rules of a namespaced kind from a CRD."""
    return ServedKind(resource=resource, has_status=has_status, has_generation=True, is_custom=True)


def built_in_kinds() -> tuple[ServedKind, ...]:
    """What every API server has of the kinds the controller and its doubles use."""
    plain = (
        resources.CONFIG_MAPS,
        resources.SECRETS,
        resources.SERVICE_ACCOUNTS,
        resources.ROLES,
        resources.ROLE_BINDINGS,
        resources.LEASES,
        resources.EVENTS,
    )
    return (
        *(ServedKind(resource=resource) for resource in plain),
        ServedKind(resource=NAMESPACES, is_namespaced=False, has_status=True),
        ServedKind(resource=resources.PRIORITY_CLASSES, is_namespaced=False),
        ServedKind(resource=resources.NETWORK_POLICIES, has_generation=True),
        ServedKind(resource=resources.PODS, has_status=True, has_generation=True),
        ServedKind(resource=SERVICES, has_status=True),
        ServedKind(resource=BATCH_JOBS, has_status=True, has_generation=True),
    )


def custom_kinds() -> tuple[ServedKind, ...]:
    """What the CRDs of Distillery and KubeRay add."""
    own = (resources.DISTILLATION_JOBS, resources.RAY_JOBS, resources.RAY_CLUSTERS)
    return tuple(custom(resource) for resource in own)
