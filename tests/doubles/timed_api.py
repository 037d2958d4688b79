"""The API server in memory with limits on requests, as ``controller.runtime.fencing`` wants it.

The limits are noted, not kept: what takes how long is the test's to say, by the server's hooks.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from controller.kube.api import Json, KubeApi, Page, WatchEvent
from controller.kube.resources import Resource
from tests.doubles.api_server import ApiServer


class TimedServer:
    """A ``TimedApi`` in front of a server; ``timeouts`` are the limits asked for, in order."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.timeouts: list[float] = []

    def with_timeout(self, timeout_s: float) -> KubeApi:
        """As ``TimedApi.with_timeout``."""
        self.timeouts.append(timeout_s)
        return self.server

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """As ``ReadApi.fetch``."""
        return self.server.fetch(resource, namespace=namespace, name=name)

    def list_page(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        limit: int = 500,
        next: str = "",
    ) -> Page:
        """As ``ReadApi.list_page``."""
        return self.server.list_page(
            resource, namespace=namespace, labels=labels, limit=limit, next=next
        )

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str = "",
        labels: str = "",
        timeout_s: float,
        silence_s: float,
    ) -> AbstractContextManager[Iterator[WatchEvent]]:
        """As ``ReadApi.watch``."""
        return self.server.watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            labels=labels,
            timeout_s=timeout_s,
            silence_s=silence_s,
        )

    def create(self, resource: Resource, body: Json) -> Json:
        """As ``WriteApi.create``."""
        return self.server.create(resource, body)

    def merge(
        self,
        resource: Resource,
        *,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        subresource: str = "",
    ) -> Json:
        """As ``WriteApi.merge``."""
        return self.server.merge(
            resource, namespace=namespace, name=name, patch=patch, subresource=subresource
        )

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """As ``WriteApi.delete``."""
        self.server.delete(resource, namespace=namespace, name=name, uid=uid, version=version)
