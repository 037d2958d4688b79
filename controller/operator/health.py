"""/healthz, /readyz and /metrics, for probes and Prometheus; plain HTTP, no secrets on it.

Ready means: the caches hold what there is. A standby is ready too, or a rolling update would wait
for it for ever.
"""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Check = Callable[[], str]
"""What is wrong, in words; empty: nothing."""


class HealthServer:
    """Serves the three pages.

    Args:
        address: Host and port; port 0 takes a free one.
        live: For /healthz.
        ready: For /readyz.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        registry: CollectorRegistry,
        live: Check,
        ready: Check,
    ) -> None:
        pages = {"/healthz": live, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
                elif path in pages:
                    wrong = pages[path]()
                    status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                    self._answer(status, (wrong or "ok").encode() + b"\n", "text/plain")
                else:
                    self._answer(HTTPStatus.NOT_FOUND, b"no such page\n", "text/plain")

            def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every few seconds: nothing to log."""

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def start(self) -> None:
        """Serves in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
