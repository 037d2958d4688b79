"""Lets a replica write only while its lease is held: the write port that everything else gets.

Whether it is held is ``elector.py``'s to know. Reads are never fenced: a standby fills its caches.
A request that is on its way when the lease ends is harmless by itself, for creates use fixed names,
and the others uid and resourceVersion.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from controller.kube.api import Json, KubeApi, Page, ReadApi, WatchEvent, WriteApi
from controller.kube.faults import LeaseLostError
from controller.kube.resources import Resource

RETRY_S = 2.0
"""A write held back is tried again so soon: by then this replica leads again, or has ended."""


class TimedApi(KubeApi, Protocol):
    """A ``KubeApi`` whose requests can be given a limit."""

    def with_timeout(self, timeout_s: float) -> KubeApi:
        """The same API; each of its requests ends within ``timeout_s`` seconds of its start, with
        ``UnreachableError`` where the answer isn't there by then."""
        ...


class HeldLease(Protocol):
    """What the fence asks."""

    def remaining_s(self) -> float:
        """How long the lease is surely still held, in seconds; 0 or less: it isn't."""
        ...


class FencedWriteApi(WriteApi):
    """The writes of ``api``, each refused where the lease isn't held any more, else ended before
    it may be another's."""

    def __init__(self, api: TimedApi, *, lease: HeldLease) -> None:
        self._timed_api = api
        self._lease = lease

    def create(self, resource: Resource, body: Json) -> Json:
        """As ``WriteApi.create``. Raises also ``LeaseLostError``."""
        return self._within_lease().create(resource, body)

    def merge(
        self,
        resource: Resource,
        *,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        subresource: str = "",
    ) -> Json:
        """As ``WriteApi.merge``. Raises also ``LeaseLostError``."""
        api = self._within_lease()
        return api.merge(
            resource, namespace=namespace, name=name, patch=patch, subresource=subresource
        )

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """As ``WriteApi.delete``. Raises also ``LeaseLostError``."""
        api = self._within_lease()
        api.delete(resource, namespace=namespace, name=name, uid=uid, version=version)

    def _within_lease(self) -> WriteApi:
        remaining_s = self._lease.remaining_s()
        if remaining_s <= 0:
            ended = f"ended {abs(remaining_s):.1f} s ago"
            got = ended if math.isfinite(remaining_s) else "isn't held here"
            raise LeaseLostError(
                f"write: needs the lease, got one that {got}; only the leader writes",
                reason="LeaseLost",
                delay_s=RETRY_S,
            )
        return self._timed_api.with_timeout(remaining_s)


class FencedApi(FencedWriteApi, ReadApi):
    """``FencedWriteApi`` with the reads of ``api`` as they are."""

    def __init__(self, api: TimedApi, *, lease: HeldLease) -> None:
        super().__init__(api, lease=lease)
        self._reads: ReadApi = api

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """As ``ReadApi.fetch``."""
        return self._reads.fetch(resource, namespace=namespace, name=name)

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
        return self._reads.list_page(
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
        return self._reads.watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            labels=labels,
            timeout_s=timeout_s,
            silence_s=silence_s,
        )
