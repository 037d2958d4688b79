"""An API server that has ConfigMaps alone, over HTTPS with a certificate of its own.

``with running_config_maps(folder) as server`` serves on a free port; ``folder`` gets the account's
``token`` and ``ca.crt``. It gives versions, refuses stale ones, and answers as it is told to.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.certificates import write_certificate

TOKEN = "the-account's-token"


@dataclass(kw_only=True)
class Answer:
    """What the server says instead of doing what it is asked."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass(kw_only=True)
class Call:
    """What the server was asked."""

    method: str
    path: str
    authorization: str
    content_type: str
    body: Any


class ConfigMapServer:
    """The server's state. ``answers`` are used up, one a request, before it does its work."""

    def __init__(self, account: Path) -> None:
        self.account = account
        self.url = ""
        self.calls: list[Call] = []
        self.answers: list[Answer] = []
        self.data: dict[str, str] = {}
        self.version = 1
        self.before_patch: Callable[[], None] = lambda: None
        self._changed = threading.Condition()

    def put(self, key: str, text: str) -> None:
        """Another writer's change."""
        with self._changed:
            self.data[key] = text
            self.version += 1

    def wait_for(self, condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Waits until ``condition`` holds, which is looked at after each request."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), self.calls

    def answer(self, call: Call) -> Answer:
        """Does what is asked."""
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            if self.answers:
                return self.answers.pop(0)
            if call.method == "PATCH":
                before, self.before_patch = self.before_patch, lambda: None
                before()
                if call.body["metadata"]["resourceVersion"] != str(self.version):
                    return Answer(status=409)
                self.data |= call.body["data"]
                self.version += 1
            body = {"metadata": {"resourceVersion": str(self.version)}}
            return Answer(
                status=200,
                body=json.dumps(body | ({"data": self.data} if self.data else {})).encode(),
            )


@contextmanager
def running_config_maps(folder: Path) -> Iterator[ConfigMapServer]:
    """A server, stopped on leaving."""
    certificate, key = write_certificate(folder)
    (folder / "ca.crt").write_bytes(certificate.read_bytes())
    (folder / "token").write_text(TOKEN + "\n", encoding="utf-8")
    state = ConfigMapServer(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(state: ConfigMapServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply()

        def do_PATCH(self) -> None:
            self._reply()

        def log_message(self, *_: object) -> None:
            return

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = state.answer(
                Call(
                    method=self.command,
                    path=self.path,
                    authorization=self.headers.get("Authorization", ""),
                    content_type=self.headers.get("Content-Type", ""),
                    body=json.loads(body) if body else None,
                )
            )
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    return Handler
