"""A hub server for tests: serves folders as model and data set repositories over real HTTP.

It answers what ``huggingface_hub`` and ``datasets`` ask when they read: a repository's revision, its
tree, single files. Every repository has one commit, whatever branch is asked for.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BRANCHES = ("main", COMMIT, "refs%2Fconvert%2Fparquet")


@dataclass(frozen=True, kw_only=True)
class HubServer:
    """A running hub; ``url`` is what ``HF_ENDPOINT`` must say."""

    url: str

    def environment(self, cache: Path) -> dict[str, str]:
        """Makes the libraries of a new process ask this hub, and keep what they get in ``cache``."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(cache),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }


@contextmanager
def running_hub(
    *, models: Mapping[str, Path] | None = None, datasets: Mapping[str, Path] | None = None
) -> Iterator[HubServer]:
    """Serves each folder under its repository's name until the block ends."""
    repositories = {
        **{f"models/{name}": folder for name, folder in (models or {}).items()},
        **{f"datasets/{name}": folder for name, folder in (datasets or {}).items()},
    }

    class Handler(_Handler):
        folders = repositories

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HubServer(url=f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    folders: Mapping[str, Path] = {}
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is its own."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "{}") if length else {}
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/"):
            self._answer_api(path.removeprefix("api/"), body)
        else:
            self._answer_file(path if path.startswith("datasets/") else f"models/{path}")

    def _answer_api(self, path: str, body: Mapping[str, Any]) -> None:
        found = self._find(path)
        if found is None:
            self._send_json({"error": "Repository not found"}, HTTPStatus.NOT_FOUND, "RepoNotFound")
            return
        repo, folder, rest = found
        action, _, revision = rest.partition("/")
        revision = revision.split("/")[0] or "main"
        if revision not in BRANCHES:
            self._send_json({"error": "Revision"}, HTTPStatus.NOT_FOUND, "RevisionNotFound")
        elif action == "tree":
            self._send_json([_entry(path, folder) for path in _files(folder)])
        elif action == "paths-info":
            wanted = body.get("paths", [])
            self._send_json(
                [
                    _entry(file, folder)
                    for file in _files(folder)
                    if file.relative_to(folder).as_posix() in wanted
                ]
            )
        else:
            names = [{"rfilename": file.relative_to(folder).as_posix()} for file in _files(folder)]
            info = {
                "_id": "1",
                "id": repo,
                "sha": COMMIT,
                "siblings": names,
                "private": False,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
            }
            self._send_json(info)

    def _answer_file(self, path: str) -> None:
        found = self._find(path)
        parts = found[2].split("/", 2) if found else []
        if found is None or len(parts) < 3 or parts[0] != "resolve":
            self._send_json({"error": "Repository not found"}, HTTPStatus.NOT_FOUND, "RepoNotFound")
            return
        file = found[1] / parts[2]
        if not file.is_file():
            self._send_json({"error": "Entry not found"}, HTTPStatus.NOT_FOUND, "EntryNotFound")
            return
        content = file.read_bytes()
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
        self.send_header("ETag", f'"{_oid(file)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self._send_body(content[start:])

    def _find(self, path: str) -> tuple[str, Path, str] | None:
        """Repository, folder and the rest of the path."""
        for name, folder in self.folders.items():
            if path == name or path.startswith(f"{name}/"):
                return name.partition("/")[2], folder, path[len(name) + 1 :]
        return None

    def _send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK, code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if code:
            self.send_header("X-Error-Code", code)
        self._send_body(json.dumps(value).encode())

    def _send_body(self, content: bytes) -> None:
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(file: Path, folder: Path) -> dict[str, Any]:
    return {
        "type": "file",
        "path": file.relative_to(folder).as_posix(),
        "size": file.stat().st_size,
        "oid": _oid(file),
    }


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
