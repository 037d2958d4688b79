"""Connections and credentials: sends one request to the API server, and hands back what it says.

Of the ``kubernetes`` package only authentication and its connection pool are used: its models take
twenty times as long to decode. What the answers mean is ``answers.py``'s to say, the requests are
``http.py``'s, the way to the server ``connecting.py``'s. Nothing is tried again here.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from controller.kube.answers import fault_of, unreachable
from controller.kube.reading import Deadline
from distillery.errors import SpecError

CONNECT_TIMEOUT_S = 5.0
_UNAUTHORIZED = 401
_REFUSALS = 300
"""Redirects too: none is followed, for the credentials are this server's alone."""
_AGENT = "distillery-controller"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked. ``path`` is below the server's address, ``kind`` the body's media type."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    kind: str = "application/json"

    @property
    def place(self) -> str:
        """The request as messages name it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class _Access:
    """Connections and credentials, as the configuration had them when it was read."""

    configuration: Configuration
    pool: Any


class Session:
    """Connections to one server, shared by all views of it. Thread-safe.

    Args:
        configure: Reads the configuration, or raises ``SpecError``; called again where the server
            refuses the credentials, for tokens and certificates are renewed in place.
    """

    def __init__(self, configure: Callable[[], Configuration]) -> None:
        self._configure = configure
        self._lock = threading.Lock()
        self._access = self._read()

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        """The body of the answer, which is there whole within ``timeout_s`` seconds.

        Raises: What ``answers.fault_of`` makes of a refusal, ``UnreachableError``.
        """
        if timeout_s <= 0:
            raise unreachable(request.place, TimeoutError())
        connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
        timeout = urllib3.Timeout(connect=connect_s, read=timeout_s, total=timeout_s)
        with Deadline(timeout_s) as deadline:
            access, answer = self._open(request, timeout)
            body = deadline.read(answer, request.place)
        self._refuse(request, access, answer, body)
        return body

    def open_stream(self, request: Request, *, silence_s: float | None) -> Any:
        """The answer, its body not read yet; it breaks where nothing comes for ``silence_s``
        seconds (None: never). Raises as ``send``."""
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=silence_s)
        access, answer = self._open(request, timeout)
        if answer.status >= _REFUSALS:
            with Deadline(silence_s or CONNECT_TIMEOUT_S) as deadline:
                body = deadline.read(answer, request.place)
            self._refuse(request, access, answer, body)
        return answer

    def _open(self, request: Request, timeout: urllib3.Timeout) -> tuple[_Access, Any]:
        access = self._access
        url = access.configuration.host.rstrip("/") + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        try:
            answer = access.pool.request(
                request.method,
                url,
                body=request.body,
                headers=self._headers(access.configuration, request.kind),
                timeout=timeout,
                preload_content=False,
                redirect=False,
                retries=False,
            )
        except (HTTPError, OSError, ConfigException) as error:
            raise unreachable(request.place, error) from error
        return access, answer

    def _headers(self, configuration: Configuration, kind: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": kind, "User-Agent": _AGENT}
        # Reads a service account's token file anew each minute, and runs a kubeconfig's login
        # command where its token is over: once for all threads.
        with self._lock:
            token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token.strip()
        return headers

    def _refuse(self, request: Request, access: _Access, answer: Any, body: bytes) -> None:
        """Raises what the answer stands for, where it is no success."""
        if answer.status == _UNAUTHORIZED:
            self._renew(access)
        if answer.status >= _REFUSALS:
            raise fault_of(request.place, answer.status, answer.headers, body)

    def _renew(self, refused: _Access) -> None:
        with self._lock:
            if self._access is not refused:
                return
            try:
                self._access = self._read()
            except SpecError as error:
                _LOG.warning("the credentials can't be read again error=%s", error.message)
                return
        refused.pool.clear()

    def _read(self) -> _Access:
        configuration = self._configure()
        return _Access(
            configuration=configuration, pool=RESTClientObject(configuration).pool_manager
        )
