"""Connections and credentials: sends one request to the API server, and hands back what it says.

Of the ``kubernetes`` package only authentication and its connection pool are used: its models take
twenty times as long to decode. What the answers mean is ``answers.py``'s to say, the requests are
``http.py``'s, the way to the server ``connecting.py``'s. Nothing is tried again here.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from controller.kube.answers import fault_of, unreachable
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
        with _Deadline(timeout_s) as deadline:
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
            with _Deadline(silence_s or CONNECT_TIMEOUT_S) as deadline:
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


class _Deadline:
    """Ends the reading of an answer's body when the time is over: a socket's own timeout starts
    anew with each piece that comes."""

    def __init__(self, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._answer: Any = None
        self._is_over = False
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def read(self, answer: Any, place: str) -> bytes:
        """The whole body. Raises ``UnreachableError`` where it breaks off or is late."""
        with self._lock:
            self._answer = answer
            if self._is_over:
                close_answer(answer)
                raise unreachable(place, TimeoutError())
        try:
            body = bytes(answer.read())
        except READ_ERRORS as error:
            raise unreachable(place, TimeoutError() if self._is_over else error) from error
        with self._lock:
            self._answer = None
            if self._is_over:
                raise unreachable(place, TimeoutError())
        return body

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            if self._answer is not None:
                wake_reader(self._answer)


READ_ERRORS = (HTTPError, OSError, ValueError, AttributeError)
"""What reading raises; the last two where another thread has closed the connection meanwhile."""


def wake_reader(answer: Any) -> None:
    """Ends the connection's input: another thread that waits for it goes on."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
        answer.shutdown()


def close_answer(answer: Any) -> None:
    """Gives the answer up and closes its connection, whichever thread reads from it."""
    wake_reader(answer)
    answer.close()


def stream_pieces(answer: Any, place: str, *, max_bytes: int) -> Iterator[bytes]:
    """The body as it comes. Raises ``UnreachableError`` where it breaks off."""
    while True:
        try:
            piece = answer.read1(max_bytes)
        except READ_ERRORS as error:
            raise unreachable(place, error) from error
        if not piece:
            return
        yield piece
