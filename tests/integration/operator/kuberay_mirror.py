"""The API server for doubles that look at everything all the time: reads cost no request.

Filled by informers and by what its own writes are answered, so it is never behind those. What it
doesn't know is asked for.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from controller.kube.api import Json, KubeApi, Page, WatchEvent
from controller.kube.resources import Resource
from controller.runtime.owners import Handler

_Key = tuple[str, str, str]


class Mirror(KubeApi):
    """``api`` with reads out of memory for the kinds that ``handler`` was made for."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._objects: dict[_Key, Json] = {}
        self._gone: dict[str, int] = {}
        self._kinds: set[str] = set()
        self._lock = threading.Lock()

    def handler(self, resource: Resource) -> Handler:
        """What an informer of the kind is to call."""
        self._kinds.add(resource.kind)

        def handle(old: Json | None, new: Json | None) -> None:
            if new is not None:
                self._take(resource, new)
            elif old is not None:
                self._drop(resource, old)

        return handle

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """See ``ReadApi``."""
        with self._lock:
            found = self._objects.get((resource.kind, namespace, name))
        if found is not None:
            return found
        return self._api.fetch(resource, namespace=namespace, name=name)

    def list_page(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        limit: int = 500,
        next: str = "",
    ) -> Page:
        """See ``ReadApi``."""
        if resource.kind not in self._kinds:
            return self._api.list_page(
                resource, namespace=namespace, labels=labels, limit=limit, next=next
            )
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        with self._lock:
            items = [
                raw
                for (kind, place, _), raw in sorted(self._objects.items(), key=lambda item: item[0])
                if kind == resource.kind
                and namespace in ("", place)
                and wanted.items() <= (raw["metadata"].get("labels") or {}).items()
            ]
        return Page(items=items, resource_version="")

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
        """See ``ReadApi``."""
        return self._api.watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            labels=labels,
            timeout_s=timeout_s,
            silence_s=silence_s,
        )

    def create(self, resource: Resource, body: Json) -> Json:
        """See ``WriteApi``."""
        return self._take(resource, self._api.create(resource, body))

    def merge(
        self,
        resource: Resource,
        *,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        subresource: str = "",
    ) -> Json:
        """See ``WriteApi``."""
        merged = self._api.merge(
            resource, namespace=namespace, name=name, patch=patch, subresource=subresource
        )
        return self._take(resource, merged)

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """See ``WriteApi``."""
        self._api.delete(resource, namespace=namespace, name=name, uid=uid, version=version)

    def _take(self, resource: Resource, raw: Json) -> Json:
        """Keeps the object, unless a later state of it is known."""
        if resource.kind in self._kinds:
            with self._lock:
                known = self._objects.get(_key(resource, raw))
                is_news = known is None or _version(known) < _version(raw)
                if is_news and _version(raw) > self._gone.get(_uid(raw), -1):
                    self._objects[_key(resource, raw)] = raw
        return raw

    def _drop(self, resource: Resource, raw: Json) -> None:
        with self._lock:
            self._gone[_uid(raw)] = _version(raw)
            known = self._objects.get(_key(resource, raw))
            if known is not None and _uid(known) == _uid(raw):
                del self._objects[_key(resource, raw)]


def _key(resource: Resource, raw: Json) -> _Key:
    metadata = raw["metadata"]
    return resource.kind, metadata["namespace"], metadata["name"]


def _uid(raw: Json) -> str:
    return str(raw["metadata"]["uid"])


def _version(raw: Json) -> int:
    return int(raw["metadata"]["resourceVersion"])
