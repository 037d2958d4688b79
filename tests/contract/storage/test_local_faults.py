"""What goes wrong with a folder: refusals of the kernel, none of them acted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distillery.errors import ExternalError
from ray_jobs.storage.local import LocalStorage

WRITE_ON_TINY_DISK = """
import subprocess
import sys
from pathlib import Path

from distillery.errors import ResourceError
from ray_jobs.storage.local import LocalStorage

root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tiny", str(root)], check=True)
source = LocalStorage(root.parent / "source")
source.put_bytes("k", bytes(1 << 20))
storage = LocalStorage(root)
storage.put_bytes("old", b"old")
for write in (
    lambda: storage.put_bytes("k", bytes(1 << 20)),
    lambda: storage.put_new("k", bytes(1 << 20)),
    lambda: storage.put_file("k", root.parent / "source" / "k"),
    lambda: source.get_file("k", root / "copy"),
):
    try:
        write()
    except ResourceError as error:
        print(error.reason, error.message)
print(sorted(path.name for path in root.rglob("*") if path.is_file()))
"""

TOO_LARGE_A_FILE = """
import resource
import signal
import sys
from pathlib import Path

from distillery.errors import ExternalError
from ray_jobs.storage.local import LocalStorage

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
storage = LocalStorage(Path(sys.argv[1]))
try:
    storage.put_bytes("k", bytes(5000))
except ExternalError as error:
    print(error.reason, error.message)
print(list(storage.list()), list(Path(sys.argv[1]).rglob("*.part")))
"""


def run_python(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> list[str]:
    """The lines which ``code`` prints in a process of its own."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def can_mount() -> bool:
    """Whether a mount of one's own is allowed here."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tiny", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_is_told_and_leaves_no_rest(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("this machine lets no user mount a tmpfs (unshare -Urm): no disk to fill")
    root = tmp_path / "tiny"
    root.mkdir()
    lines = run_python(WRITE_ON_TINY_DISK, str(root), prefix=("unshare", "-Urm"))
    full = "disk or quota is full, got ENOSPC; free space or use another place"
    assert lines == [
        *[f"DiskFull {(root / 'k').as_uri()}: {full}"] * 3,
        f"DiskFull {root / 'copy'}: {full}",
        "['old']",
    ]


def test_a_file_over_the_limit_is_told_and_leaves_no_rest(tmp_path: Path) -> None:
    assert run_python(TOO_LARGE_A_FILE, str(tmp_path)) == [
        f"StorageFailed {(tmp_path / 'k').as_uri()}: file system failed, got EFBIG; "
        "check the place and its disk",
        "[] []",
    ]


def test_a_root_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    storage = LocalStorage(tmp_path / "file" / "root")
    with pytest.raises(
        ExternalError,
        match=r"file/root/k: a file stands where a folder is needed or the reverse, got ENOTDIR; "
        "move it or use another place",
    ) as caught:
        storage.put_bytes("k", b"x")
    assert caught.value.reason == "StorageFailed"


def test_an_object_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put_bytes("a", b"x")
    with pytest.raises(ExternalError, match=r"a/b: a file stands where a folder is needed"):
        storage.put_bytes("a/b", b"x")


@pytest.mark.parametrize("folder", ["/sys", "/proc"])
def test_an_unwritable_folder_is_told(folder: str) -> None:
    """Permission bits don't bind root; the kernel's own file systems take files from nobody."""
    if not Path(folder).is_dir():
        pytest.skip(f"no {folder} here")
    with pytest.raises(ExternalError, match=rf"^file://{folder}/k: ") as caught:
        LocalStorage(Path(folder)).put_bytes("k", b"x")
    assert caught.value.reason in ("AccessDenied", "StorageFailed")


def test_a_folder_without_write_permission_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("runs as root, whom permission bits don't bind")
    tmp_path.chmod(0o500)
    with pytest.raises(ExternalError, match=r"/k: access denied, got EACCES; give this user"):
        LocalStorage(tmp_path).put_bytes("k", b"x")


def test_a_missing_file_to_upload_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match=r"nothing: file system failed, got ENOENT; check"):
        LocalStorage(tmp_path).put_file("k", tmp_path / "nothing")


def test_files_put_there_by_others_are_objects(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_bytes(b"{}\n")
    storage = LocalStorage(tmp_path)
    assert [stored.key for stored in storage.list()] == ["data/train.jsonl"]
    assert storage.get_bytes("data/train.jsonl") == b"{}\n"
