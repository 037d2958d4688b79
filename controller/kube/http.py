"""The API server over HTTP: implements ``api.KubeApi`` for real, raw JSON in and out.

Of the ``kubernetes`` package only authentication and its connection pool are used: its models take
twenty times as long to decode. What the server answers instead of an object is ``answers.py``'s to
name; where to connect is ``connecting.py``'s; a watch's stream is ``streaming.py``'s.
"""

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.exceptions import HTTPError

from controller.kube.answers import fault_of, unreachable
from controller.kube.api import Json, KubeApi, Page, WatchEvent
from controller.kube.faults import NotFoundError
from controller.kube.resources import Resource
from controller.kube.streaming import WatchStream

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_UNAUTHORIZED = 401
_ERRORS = 400
_AGENT = "distillery-controller"


@dataclass(frozen=True, kw_only=True)
class _Access:
    """Connections and credentials, as the configuration had them when it was read."""

    configuration: Configuration
    pool: Any


class Session:
    """Connections to one server, shared by all views of it. Thread-safe.

    Args:
        configure: Reads the configuration; called again where the server refuses the credentials,
            for tokens and certificates are renewed in place.
    """

    def __init__(self, configure: Callable[[], Configuration]) -> None:
        self._configure = configure
        self._lock = threading.Lock()
        self._access = self._read()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
        timeout_s: float = READ_TIMEOUT_S,
        streams: bool = False,
    ) -> Any:
        """The server's answer, whatever its status below 400.

        Raises: What ``answers.fault_of`` makes of a refusal, ``UnreachableError``.
        """
        access = self._access
        url = access.configuration.host.rstrip("/") + path
        if query:
            url += "?" + urlencode(query)
        connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
        timeout = urllib3.Timeout(
            connect=connect_s, read=timeout_s, total=None if streams else timeout_s
        )
        try:
            answer = access.pool.request(
                method,
                url,
                body=body,
                headers=self._headers(access.configuration, kind),
                timeout=timeout,
                preload_content=not streams,
                redirect=False,
                retries=False,
            )
            if answer.status >= _ERRORS and streams:
                answer.read()
        except (HTTPError, OSError) as error:
            raise unreachable(f"{method} {path}", error) from error
        if answer.status == _UNAUTHORIZED:
            self._renew(access)
        if answer.status >= _ERRORS:
            raise fault_of(f"{method} {path}", answer.status, answer.headers, answer.data)
        return answer

    def _headers(self, configuration: Configuration, kind: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": kind, "User-Agent": _AGENT}
        token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        elif configuration.username:
            headers["Authorization"] = configuration.get_basic_auth_token() or ""
        return headers

    def _renew(self, refused: _Access) -> None:
        with self._lock:
            if self._access is refused:
                self._access = self._read()

    def _read(self) -> _Access:
        configuration = self._configure()
        return _Access(
            configuration=configuration, pool=RESTClientObject(configuration).pool_manager
        )


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
        answer = self._session.request("GET", path, query=query, timeout_s=silence_s, streams=True)
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
        answer = self._session.request("GET", path, timeout_s=self._timeout_s)
        return str(answer.data.decode(errors="replace"))

    def stream_log(
        self, *, namespace: str, pod: str, container: str, follow: bool
    ) -> Iterator[bytes]:
        """A container's log, piece by piece. Raises ``UnreachableError`` where it breaks off."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {"container": container, "follow": "true" if follow else "false"}
        timeout_s = math.inf if follow else self._timeout_s
        answer = self._session.request(
            "GET",
            path,
            query=query,
            timeout_s=READ_TIMEOUT_S if math.isinf(timeout_s) else timeout_s,
            streams=True,
        )
        try:
            yield from answer.stream(65_536, decode_content=True)
        except (HTTPError, OSError) as error:
            raise unreachable(f"GET {path}", error) from error
        finally:
            answer.close()

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = "application/json",
    ) -> Json:
        answer = self._session.request(
            method,
            path,
            query=query,
            body=json.dumps(body).encode() if body is not None else None,
            kind=kind,
            timeout_s=self._timeout_s,
        )
        try:
            found = json.loads(answer.data)
        except ValueError as error:
            raise unreachable(f"{method} {path}", error) from error
        if not isinstance(found, dict):
            raise unreachable(f"{method} {path}", TypeError(type(found).__name__))
        return found
