"""An HTTP server of the test's own that plays any answer, good, broken, slow or cut."""

import contextlib
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEADLINE_S = 20.0
"""What a test waits for at most; none takes near as long."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Wire:
    """The way back to the client. ``over`` is set when the test ends."""

    def __init__(self, handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        self._handler = handler
        self.over = over

    def send(self, status: int, document: Any = None, **headers: str) -> None:
        """A whole answer; ``retry_after`` stands for ``Retry-After``."""
        body = document if isinstance(document, bytes) else json.dumps(document or {}).encode()
        self.begin(status, Content_Length=str(len(body)), **headers)
        self.write(body)

    def begin(self, status: int, **headers: str) -> None:
        """The head alone."""
        lines = [f"HTTP/1.1 {status} made by a test"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([*lines, "", ""]).encode())

    def begin_stream(self) -> None:
        self.begin(200, Transfer_Encoding="chunked")

    def chunk(self, piece: bytes) -> None:
        self.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def end_stream(self) -> None:
        self.write(b"0\r\n\r\n")

    def write(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def cut(self, *, reset: bool = False) -> None:
        """Closes the connection, with a TCP reset if told."""
        self._handler.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._handler.connection.close()

    def hang(self) -> None:
        """Says nothing more until the test ends."""
        self.over.wait(DEADLINE_S)
        self._handler.close_connection = True

    def drip(self, piece: bytes, *, every_s: float) -> None:
        """Says a little again and again until the client has gone or the test ends."""
        with contextlib.suppress(OSError):
            while not self.over.wait(every_s):
                self.write(piece)
        self._handler.close_connection = True


Play = Callable[[Asked, Wire], None]


@dataclass(kw_only=True)
class ScriptedApi:
    """A running server. ``plays`` are for the requests to come, in their order; the last of them
    for all that follow. ``asked`` are the requests it got."""

    url: str
    plays: list[Play] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answers(self, status: int, document: Any = None, **headers: str) -> None:
        """The next answer."""
        self.plays.append(lambda _, wire: wire.send(status, document, **headers))

    def refuses(self, code: int, reason: str, message: str = "said by a test") -> None:
        """The next answer is a Status object."""
        self.answers(code, make_status(code, reason, message))

    def take(self, asked: Asked) -> Play:
        with self.lock:
            self.asked.append(asked)
            return self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]


def make_status(code: int, reason: str, message: str = "said by a test") -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.failures: list[BaseException] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keeps what the test's own script broke; clients that leave, and sockets that scripts
        have closed, are no failure here."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (OSError, ValueError)):
            self.failures.append(error)


@contextlib.contextmanager
def scripted_api(certificate: tuple[Path, Path] | None = None) -> Iterator[ScriptedApi]:
    """Runs one on a free port; with TLS where there is a certificate and key."""
    api: ScriptedApi

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = DEADLINE_S

        def log_message(self, *_: Any) -> None:
            """Nothing."""

        def answer(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                method=self.command,
                path=parts.path,
                query={key: values[0] for key, values in parse_qs(parts.query).items()},
                headers=dict(self.headers.items()),
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            api.take(asked)(asked, Wire(self, api.over))

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815  # http.server's names

    server = _Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "https" if certificate else "http"
    api = ScriptedApi(url=f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        api.over.set()
        server.shutdown()
        thread.join(DEADLINE_S)
        server.server_close()
    assert server.failures == []
