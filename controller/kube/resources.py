"""The kinds of object the controller reads and writes, and their paths below the API server."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind of namespaced object. ``group`` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As objects name it: ``batch/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of an object, or of a collection; an empty namespace: of all namespaces."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, *([name] if name else []), *([subresource] if subresource else [])]
        return "/".join(parts)


DISTILLATION_JOBS = Resource(
    group="distillery.dev", version="v1alpha1", plural="distillationjobs", kind="DistillationJob"
)
RAY_JOBS = Resource(group="ray.io", version="v1", plural="rayjobs", kind="RayJob")
RAY_CLUSTERS = Resource(group="ray.io", version="v1", plural="rayclusters", kind="RayCluster")
PODS = Resource(group="", version="v1", plural="pods", kind="Pod")
CONFIG_MAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")
SERVICE_ACCOUNTS = Resource(group="", version="v1", plural="serviceaccounts", kind="ServiceAccount")
ROLES = Resource(group="rbac.authorization.k8s.io", version="v1", plural="roles", kind="Role")
ROLE_BINDINGS = Resource(
    group="rbac.authorization.k8s.io", version="v1", plural="rolebindings", kind="RoleBinding"
)
NETWORK_POLICIES = Resource(
    group="networking.k8s.io", version="v1", plural="networkpolicies", kind="NetworkPolicy"
)
PRIORITY_CLASSES = Resource(
    group="scheduling.k8s.io", version="v1", plural="priorityclasses", kind="PriorityClass"
)
"""Of the whole cluster: asked for without a namespace."""
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
EVENTS = Resource(group="events.k8s.io", version="v1", plural="events", kind="Event")
