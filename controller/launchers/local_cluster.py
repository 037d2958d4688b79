"""A Ray head on this machine: started, found again after a crash, and stopped.

Everything listens on the loopback address, with Ray's token authentication on; the token lies in
the run's folder, readable by its owner alone. ``<workdir>/cluster.json`` says what was started, so
that a later run finds it and only what was started here is ever stopped. The head is a process
group of its own: Ctrl-C on the terminal doesn't reach it.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from controller.launchers.owned_processes import find_processes, kill_processes
from controller.launchers.ray_jobs_api import RayJobsApi
from distillery.errors import DistilleryError, ResourceError
from distillery.spec.model import Model

RECORD_NAME = "cluster.json"
TOKEN_NAME = "ray-token"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
START_TRIES = 3
# Ray's workers take 10002-19999 and the system hands out ports from 32768 on.
_PORTS = range(20_000, 32_000)
_POLL_S = 0.1
# A unix socket's path holds 107 bytes (103 on macOS), and Ray needs 61 of them below this folder.
_MAX_TEMP_DIR_BYTES = 40

Sleep = Callable[[float], None]


class ClusterRecord(Model):
    """What was started: the head's process (0: it was about to start), its dashboard, where its
    token and its logs lie."""

    pid: int
    client_port: int
    agent_port: int
    """Of Ray's agent, which starts the jobs and comes up after the dashboard."""
    address: str
    token_path: str
    temp_dir: str

    @property
    def log_dir(self) -> Path:
        """Where Ray writes its logs, those of drivers too."""
        return Path(self.temp_dir) / "session_latest" / "logs"

    def find_processes(self) -> set[int]:
        """All that was started, by what only these command lines say."""
        server = ("ray.util.client.server ", f"--port={self.client_port} ")
        return find_processes(f"={self.temp_dir}") | find_processes(*server)

    def read_token(self) -> str:
        """The token, as Ray reads it."""
        return Path(self.token_path).read_text("ascii").strip()


class LocalCluster:
    """The cluster of one run's folder.

    Args:
        workdir: The run's folder; it holds the record, the token and the start's log.
        environ: The surroundings that Ray and the steps shall have.
        sleep: Waits; raises to give up.
    """

    def __init__(
        self, workdir: Path, *, environ: Mapping[str, str], sleep: Sleep = time.sleep
    ) -> None:
        self._workdir = workdir
        self._environ = environ
        self._sleep = sleep
        self._head: subprocess.Popen[bytes] | None = None

    def find(self) -> ClusterRecord | None:
        """The cluster an earlier run left behind, if it still answers; else what is left of it is
        cleared away."""
        record = self._read_record()
        if record is None or _has_answer(record):
            return record
        self.stop(record)
        return None

    def clear(self) -> None:
        """Stops what an earlier run left behind, if anything."""
        if record := self._read_record():
            self.stop(record)

    def _read_record(self) -> ClusterRecord | None:
        try:
            text = (self._workdir / RECORD_NAME).read_text("utf-8")
            return ClusterRecord.model_validate_json(text)
        except (FileNotFoundError, ValidationError):
            return None

    def start(self) -> ClusterRecord:
        """A new head that takes jobs.

        Raises: ``ResourceError`` where Ray doesn't come up, with its log's place.
        """
        token_path = self._write_token()
        for left in reversed(range(START_TRIES)):
            record = self._launch(token_path)
            if self._wait_until_up(record):
                return record
            self.stop(record)
            if not left:
                break
        raise ResourceError(
            f"{self._start_log}: Ray didn't start in {START_TRIES} tries; read the end of it, and "
            "see that memory and ports are free",
            reason="RayStartFailed",
        )

    def stop(self, record: ClusterRecord) -> None:
        """Ends every process of the cluster, the jobs on it too, and removes its folder."""
        kill_processes(record.find_processes() & {record.pid}, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while left := record.find_processes():
            if record.pid not in left or time.monotonic() > deadline:
                kill_processes(left, signal.SIGKILL)
            self._reap()
            time.sleep(_POLL_S)
        self._reap()
        shutil.rmtree(record.temp_dir, ignore_errors=True)
        (self._workdir / RECORD_NAME).unlink(missing_ok=True)

    @property
    def _start_log(self) -> Path:
        return self._workdir / "logs" / "ray-start.log"

    def _reap(self) -> None:
        if self._head is not None:
            self._head.poll()

    def _write_token(self) -> Path:
        path = (self._workdir / TOKEN_NAME).resolve()
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        return path

    def _launch(self, token_path: Path) -> ClusterRecord:
        temp_dir = _make_temp_dir()
        dashboard, agent, client = _free_ports(3)
        command = _head_command(
            temp_dir, dashboard_port=dashboard, agent_port=agent, client_port=client
        )
        self._start_log.parent.mkdir(parents=True, exist_ok=True)
        record = ClusterRecord(
            pid=0,
            client_port=client,
            agent_port=agent,
            address=f"http://127.0.0.1:{dashboard}",
            token_path=str(token_path),
            temp_dir=temp_dir,
        )
        self._write_record(record)
        with self._start_log.open("ab") as log:
            self._head = subprocess.Popen(
                command,
                env=_head_environment(self._environ, token_path),
                cwd=self._workdir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        record = record.model_copy(update={"pid": self._head.pid})
        self._write_record(record)
        return record

    def _write_record(self, record: ClusterRecord) -> None:
        path = self._workdir / RECORD_NAME
        draft = path.with_suffix(".json.new")
        draft.write_text(record.model_dump_json(by_alias=True), "utf-8")
        draft.replace(path)

    def _wait_until_up(self, record: ClusterRecord) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._head is not None and self._head.poll() is not None:
                return False
            if _has_answer(record):
                return True
            try:
                self._sleep(_POLL_S)
            except BaseException:
                self.stop(record)
                raise
        return False


def _has_answer(record: ClusterRecord) -> bool:
    try:
        api = RayJobsApi(record.address, token=record.read_token())
    except OSError:
        return False
    try:
        api.fetch_version()
        socket.create_connection(("127.0.0.1", record.agent_port), timeout=_POLL_S).close()
    except (DistilleryError, OSError):
        return False
    finally:
        api.close()
    return record.pid in record.find_processes()


def _make_temp_dir() -> str:
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _MAX_TEMP_DIR_BYTES - len("/dst-12345678"):
        parent = "/tmp"
    return tempfile.mkdtemp(prefix="dst-", dir=parent)


def _free_ports(count: int) -> list[int]:
    ports: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, k=200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise ResourceError(
        f"127.0.0.1: no {count} free ports between {_PORTS.start} and {_PORTS.stop}; "
        "end what holds them",
        reason="NoFreePort",
    )


def _head_command(
    temp_dir: str, *, dashboard_port: int, agent_port: int, client_port: int
) -> list[str]:
    options = {
        "node-ip-address": "127.0.0.1",
        "port": "0",
        "dashboard-host": "127.0.0.1",
        "dashboard-port": str(dashboard_port),
        "dashboard-agent-listen-port": str(agent_port),
        "ray-client-server-port": str(client_port),
        "include-dashboard": "true",
        "min-worker-port": "0",
        "max-worker-port": "0",
        "temp-dir": temp_dir,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start"]
    return [*ray, "--head", "--block", "--disable-usage-stats", *flags]


def _head_environment(environ: Mapping[str, str], token_path: Path) -> dict[str, str]:
    source_root = str(Path(__file__).resolve().parents[2])
    given = [os.path.abspath(part) for part in environ.get("PYTHONPATH", "").split(":") if part]
    strange = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_JOB_ID")
    return {
        **{name: value for name, value in environ.items() if name not in strange},
        "PYTHONPATH": ":".join([source_root, *given]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        # Ray's own switch for "never mind the network": keeps every port on the loopback
        # address, and the head alive when a laptop changes networks.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
