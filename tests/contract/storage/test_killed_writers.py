"""Writers killed (SIGKILL) in the middle of a file: nobody sees a half-written object."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ray_jobs.storage.base import Storage
from ray_jobs.storage.local import LEFTOVER_AGE_S, LocalStorage
from ray_jobs.storage.s3 import S3Storage
from tests.contract.storage.test_storage import make_bytes, make_file

WRITER = """
import sys
from pathlib import Path

from ray_jobs.storage.opening import open_storage

uri, endpoint_url, path = sys.argv[1:]


def stop(num_bytes: int) -> None:
    print("halfway", flush=True)
    sys.stdin.read()  # until it is killed


open_storage(uri, endpoint_url=endpoint_url or None).put_file("k", Path(path), on_bytes=stop)
"""

Kill = Callable[[Storage, Path], None]


@pytest.fixture
def kill_halfway() -> Kill:
    """Uploads a file in a process of its own, and kills that after the first bytes."""

    def kill(storage: Storage, path: Path) -> None:
        endpoint_url = storage.endpoint_url if isinstance(storage, S3Storage) else ""
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, storage.uri, endpoint_url, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"halfway\n"
            process.kill()
        assert process.returncode == -signal.SIGKILL

    return kill


def test_a_killed_writer_leaves_nothing_to_see(
    storage: Storage, tmp_path: Path, kill_halfway: Kill
) -> None:
    kill_halfway(storage, make_file(tmp_path, make_bytes(40 << 20)))
    assert list(storage.list()) == []
    assert storage.stat("k") is None
    assert storage.put_new("k", b"free") is True


def test_a_killed_writer_leaves_the_old_object(
    storage: Storage, tmp_path: Path, kill_halfway: Kill
) -> None:
    storage.put_bytes("k", b"old")
    kill_halfway(storage, make_file(tmp_path, make_bytes(40 << 20)))
    assert storage.get_bytes("k") == b"old"


def test_leftovers_are_removed_a_day_later(tmp_path: Path, kill_halfway: Kill) -> None:
    root = tmp_path / "root"
    kill_halfway(LocalStorage(root), make_file(tmp_path, make_bytes(8 << 20)))
    (leftover,) = root.rglob("*.part")
    written_s = leftover.stat().st_mtime
    LocalStorage(root, clock=lambda: written_s + LEFTOVER_AGE_S - 1).put_bytes("a", b"x")
    assert leftover.exists()
    LocalStorage(root, clock=lambda: written_s + LEFTOVER_AGE_S + 1).put_bytes("b", b"x")
    assert list(root.rglob("*.part")) == []
