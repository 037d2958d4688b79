"""The API server over HTTP: implements ``api.KubeApi`` for real, raw JSON in and out.

Connections and credentials are ``session.py``'s; what the server answers instead of an object is
``answers.py``'s to name; a watch's stream is ``streaming.py``'s. Where to connect is
``connecting.py``'s. Nothing is cached or tried again here.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from controller.kube.answers import unreachable
from controller.kube.api import Json, KubeApi, Page, WatchEvent
from controller.kube.faults import NotFoundError
from controller.kube.reading import close_answer, read_pieces
from controller.kube.resources import Resource
from controller.kube.session import Request, Session
from controller.kube.streaming import WatchStream

READ_TIMEOUT_S = 30.0
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_LOG_PIECE_BYTES = 65_536


class HttpApi(KubeApi):
    """The API server. Requests end within ``timeout_s`` seconds each, watches apart."""

    def __init__(self, session: Session, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._session = session
        self._timeout_s = timeout_s

    def with_timeout(self, timeout_s: float) -> "HttpApi":
        """The same server; each request ends within ``timeout_s`` seconds."""
        return HttpApi(self._session, timeout_s=min(timeout_s, READ_TIMEOUT_S))

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """See ``ReadApi``."""
        return self._json("GET", resource.path(namespace, name))

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
        query = {"limit": str(limit)}
        if labels:
            query["labelSelector"] = labels
        if next:
            query["continue"] = next
        found = self._json("GET", resource.path(namespace), query=query)
        metadata = found.get("metadata") or {}
        return Page(
            items=list(found.get("items") or ()),
            resource_version=str(metadata.get("resourceVersion", "")),
            next=str(metadata.get("continue") or ""),
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
        """See ``ReadApi``."""
        path = resource.path(namespace)
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, math.ceil(timeout_s))),
        }
        if labels:
            query["labelSelector"] = labels
        request = Request(method="GET", path=path, query=query)
        answer = self._session.open_stream(request, silence_s=silence_s)
        return WatchStream(answer, place=f"WATCH {path}")

    def create(self, resource: Resource, body: Json) -> Json:
        """See ``WriteApi``."""
        namespace = body["metadata"].get("namespace", "")
        kinds = {"apiVersion": resource.api_version, "kind": resource.kind}
        return self._json("POST", resource.path(namespace), body={**kinds, **body})

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
        path = resource.path(namespace, name, subresource)
        return self._json("PATCH", path, body=patch, kind=MERGE_PATCH)

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """See ``WriteApi``."""
        preconditions = {"uid": uid, **({"resourceVersion": version} if version else {})}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        try:
            self._json("DELETE", resource.path(namespace, name), body=options)
        except NotFoundError:
            return

    def apply(self, resource: Resource, body: Json, *, manager: str) -> Json:
        """Applies the object server-side, as ``kubectl apply --server-side --force-conflicts``.
        Raises as ``WriteApi.merge``."""
        metadata = body["metadata"]
        return self._json(
            "PATCH",
            resource.path(metadata.get("namespace", ""), metadata["name"]),
            query={"fieldManager": manager, "force": "true"},
            body=body,
            kind=APPLY_PATCH,
        )

    def fetch_text(self, path: str) -> str:
        """The page at ``path``, such as ``/readyz``."""
        body = self._session.send(Request(method="GET", path=path), timeout_s=self._timeout_s)
        return body.decode(errors="replace")

    def stream_log(
        self, *, namespace: str, pod: str, container: str, follow: bool
    ) -> Iterator[bytes]:
        """A container's log, piece by piece; a followed one may be silent for as long as it likes.
        Raises ``UnreachableError`` where it breaks off."""
        request = Request(
            method="GET",
            path=f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
            query={"container": container, "follow": "true" if follow else "false"},
        )
        silence_s = None if follow else self._timeout_s
        answer = self._session.open_stream(request, silence_s=silence_s)
        try:
            yield from read_pieces(answer, request.place, max_bytes=_LOG_PIECE_BYTES)
        finally:
            close_answer(answer)

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = "application/json",
    ) -> Json:
        request = Request(
            method=method,
            path=path,
            query=query or {},
            body=json.dumps(body).encode() if body is not None else None,
            kind=kind,
        )
        answer = self._session.send(request, timeout_s=self._timeout_s)
        try:
            found = json.loads(answer)
        except ValueError as error:
            raise unreachable(request.place, error) from error
        if not isinstance(found, dict):
            raise unreachable(request.place, TypeError(type(found).__name__))
        return found
