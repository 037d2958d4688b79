"""What the contract tests hold against each other: an API server in memory, and a real one."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.kube.api import Json, KubeApi
from controller.kube.faults import AlreadyExistsError, NotFoundError
from controller.kube.resources import Resource
from tests.doubles.api_kinds import NAMESPACES, ServedKind, custom
from tests.doubles.api_server import ApiServer

DEADLINE_S = 60.0
CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
)
"""Not namespaced: every call takes an empty namespace."""

WIDGETS = Resource(group="contract.distillery.dev", version="v1", plural="widgets", kind="Widget")
"""A kind with a status subresource."""
GADGETS = Resource(group="contract.distillery.dev", version="v1", plural="gadgets", kind="Gadget")
"""A kind without one."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A server, a namespace of the test's own on it, and what differs between the two kinds.

    ``install`` makes a kind known, ``work`` has the cluster's controllers do what is due: by
    itself in a real cluster. ``scale`` is what a test's waiting for silence is multiplied by.
    """

    api: KubeApi
    namespace: str
    install: Callable[[Resource, bool], None]
    work: Callable[[], object]
    scale: float

    def create(self, resource: Resource, name: str, **body: object) -> Json:
        """Creates an object; ``labels``, ``owners`` and ``finalizers`` go to its metadata."""
        meta: Json = {"name": name, "namespace": self.namespace}
        for word, field in (("owners", "ownerReferences"), ("labels", ""), ("finalizers", "")):
            if word in body:
                meta[field or word] = body.pop(word)
        return self.api.create(resource, {**named(resource), "metadata": meta, **body})

    def fetch(self, resource: Resource, name: str) -> Json:
        return self.api.fetch(resource, namespace=self.namespace, name=name)

    def merge(self, resource: Resource, name: str, patch: Json, *, subresource: str = "") -> Json:
        return self.api.merge(
            resource,
            namespace=self.namespace,
            name=name,
            patch=patch,
            subresource=subresource,
        )

    def delete(self, resource: Resource, obj: Json, **preconditions: str) -> None:
        meta = obj["metadata"]
        given = {"uid": meta["uid"], **preconditions}
        self.api.delete(resource, namespace=self.namespace, name=meta["name"], **given)

    def names(self, resource: Resource, *, labels: str = "") -> list[str]:
        page = self.api.list_page(resource, namespace=self.namespace, labels=labels)
        return [item["metadata"]["name"] for item in page.items if not is_clusters_own(item)]

    def is_there(self, resource: Resource, name: str) -> bool:
        try:
            self.fetch(resource, name)
        except NotFoundError:
            return False
        return True

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Waits for what the cluster does by itself."""
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not holds():
            assert time.monotonic() < deadline, "the cluster didn't do it in time"
            self.work()
            pause.wait(0.02)


def named(resource: Resource) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def is_clusters_own(obj: Json) -> bool:
    """Whether a real cluster puts it into every namespace by itself."""
    return obj["metadata"]["name"] == "kube-root-ca.crt"


def make_memory_subject(server: ApiServer) -> Subject:
    """On a server in memory, in a namespace made for it."""

    def install(resource: Resource, has_status: bool) -> None:
        server.serve(custom(resource, has_status=has_status))

    server.serve(ServedKind(resource=NAMESPACES, is_namespaced=False, has_status=True))
    server.add_namespace("contract-1")
    install(WIDGETS, True)
    install(GADGETS, False)
    return Subject(
        api=server,
        namespace="contract-1",
        install=install,
        work=server.collect_garbage,
        scale=0.0,
    )


def make_real_subject(api: KubeApi, namespace: str) -> Subject:
    """On a real server, in a namespace that is there."""

    def install(resource: Resource, has_status: bool) -> None:
        install_crd(api, resource, has_status=has_status)

    install(WIDGETS, True)
    install(GADGETS, False)
    return Subject(api=api, namespace=namespace, install=install, work=lambda: None, scale=1.0)


def install_crd(api: KubeApi, resource: Resource, *, has_status: bool) -> None:
    """Installs a CRD that takes any object, and waits until its kind is served."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: Json = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
    }
    if has_status:
        version["subresources"] = {"status": {}}
    body = {
        **named(CRDS),
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {"plural": resource.plural, "kind": resource.kind},
            "versions": [version],
        },
    }
    try:
        api.create(CRDS, body)
    except AlreadyExistsError:
        return
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not is_served(api, resource):
        assert time.monotonic() < deadline, f"{resource.kind} is not served in time"
        pause.wait(0.05)


def is_served(api: KubeApi, resource: Resource) -> bool:
    try:
        api.list_page(resource)
    except NotFoundError:
        return False
    return True


def remove_crd(api: KubeApi, resource: Resource) -> None:
    """Removes a CRD and with it all objects of the kind."""
    name = f"{resource.plural}.{resource.group}"
    found = api.fetch(CRDS, namespace="", name=name)
    api.delete(CRDS, namespace="", name=name, uid=found["metadata"]["uid"])
