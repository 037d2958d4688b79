"""``file://``: objects are the files below a folder.

Writes go to a file in a hidden folder below the root, reach the disk, and then get their name:
by rename where they replace, by link where the key must be free. So readers, and a writer killed
at any moment, leave and see whole objects only. What killed writers leave in the hidden folder is
never listed, and removed a day later. Unlike on S3, ``a`` and ``a/b`` can't both be objects.
"""

import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from distillery.errors import ExternalError, word
from ray_jobs.storage.base import OnBytes, StoredObject
from ray_jobs.storage.faults import Reason, checksum_mismatch, os_faults, read_faults
from ray_jobs.storage.hashing import HashingReader, iterate_chunks
from ray_jobs.storage.keys import TEMP_FOLDER, check_key
from ray_jobs.storage.receiving import part_file, receive, sync, write_chunks

LEFTOVER_AGE_S = 24 * 3600.0
"""An unfinished file this long without a write belongs to no living writer."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStorage:
    """A ``Storage`` below the folder ``root``, made at the first write.

    Args:
        root: An absolute path.
        clock: Seconds since the epoch; tells which leftovers are old.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._clock = clock
        self._is_swept = False

    @property
    def uri(self) -> str:
        """As ``Storage.uri``."""
        return self._root.as_uri()

    def uri_of(self, key: str) -> str:
        """As ``Storage.uri_of``."""
        return self._path(key).as_uri()

    def put_bytes(self, key: str, data: bytes) -> StoredObject:
        """As ``Storage.put_bytes``."""
        return self._put(key, HashingReader(io.BytesIO(data)))

    def put_new(self, key: str, data: bytes) -> bool:
        """As ``Storage.put_new``; ``StorageUnfit`` on a file system without hard links."""
        path = self._path(key)
        with os_faults(self.uri_of(key)):
            if path.exists():
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            with part_file(self._temp_folder()) as part:
                write_chunks(part, (data,))
                return self._link(part, path)

    def put_file(self, key: str, path: Path, *, on_bytes: OnBytes | None = None) -> StoredObject:
        """As ``Storage.put_file``."""
        with os_faults(str(path)), path.open("rb") as stream:
            return self._put(key, HashingReader(stream), on_bytes=on_bytes)

    def get_bytes(self, key: str) -> bytes:
        """As ``Storage.get_bytes``."""
        with read_faults(self.uri_of(key)):
            return self._path(key).read_bytes()

    def get_file(
        self, key: str, path: Path, *, sha256: str | None = None, on_bytes: OnBytes | None = None
    ) -> None:
        """As ``Storage.get_file``."""
        with self.open_read(key) as stream, os_faults(str(path)), receive(path) as part:
            reader = HashingReader(stream)
            write_chunks(part, iterate_chunks(reader, on_bytes=on_bytes))
            if sha256 is not None and reader.sha256 != sha256:
                raise checksum_mismatch(self.uri_of(key), want=sha256, got=reader.sha256)

    def open_read(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """As ``Storage.open_read``; the stream can seek."""
        with read_faults(self.uri_of(key)):
            return self._path(key).open("rb")

    def stat(self, key: str) -> StoredObject | None:
        """As ``Storage.stat``; never knows the SHA-256."""
        path = self._path(key)
        try:
            with read_faults(self.uri_of(key)):
                return None if path.is_dir() else _describe(key, path.stat())
        except ExternalError as error:
            if error.reason == Reason.OBJECT_MISSING:
                return None
            raise

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As ``Storage.list``. Objects removed meanwhile are left out; links to folders aren't
        followed."""
        with os_faults(self.uri):
            yield from _walk(self._root, folder_key="", prefix=prefix)

    def delete(self, key: str) -> None:
        """As ``Storage.delete``. The folder stays."""
        try:
            with read_faults(self.uri_of(key)):
                self._path(key).unlink()
        except ExternalError as error:
            if error.reason != Reason.OBJECT_MISSING:
                raise

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _put(
        self, key: str, reader: HashingReader, *, on_bytes: OnBytes | None = None
    ) -> StoredObject:
        path = self._path(key)
        with os_faults(self.uri_of(key)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with part_file(self._temp_folder()) as part:
                write_chunks(part, iterate_chunks(reader, on_bytes=on_bytes))
                part.replace(path)
            sync(path.parent)
            return _describe(key, path.stat(), sha256=reader.sha256)

    def _link(self, part: Path, path: Path) -> bool:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise ExternalError(
                word(
                    self.uri,
                    "file system must support hard links (conditional create needs them), got "
                    f"{errno.errorcode[error.errno]}; use another file system or s3://",
                ),
                reason=Reason.STORAGE_UNFIT,
            ) from error
        sync(path.parent)
        return True

    def _temp_folder(self) -> Path:
        """The folder for unfinished files, rid of old leftovers once per instance."""
        folder = self._root / TEMP_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if not self._is_swept:
            self._is_swept = True
            for path in folder.glob("*.part"):
                _remove_if_old(path, before_s=self._clock() - LEFTOVER_AGE_S)
        return folder


def _remove_if_old(path: Path, *, before_s: float) -> None:
    try:
        if path.stat().st_mtime < before_s:
            path.unlink()
    except FileNotFoundError:
        return  # its writer, or another sweep, was faster


def _describe(key: str, status: os.stat_result, *, sha256: str | None = None) -> StoredObject:
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return StoredObject(key=key, size_bytes=status.st_size, etag=etag, sha256=sha256)


def _walk(folder: Path, *, folder_key: str, prefix: str) -> Iterator[StoredObject]:
    """The files below ``folder`` in the order of their keys: a folder sorts as ``name/``."""
    try:
        with os.scandir(folder) as entries:
            found = [(f"{folder_key}{entry.name}", entry) for entry in entries]
    except FileNotFoundError:
        return
    keyed = [
        (f"{key}/" if entry.is_dir(follow_symlinks=False) else key, entry) for key, entry in found
    ]
    for key, entry in sorted(keyed, key=lambda pair: pair[0]):
        if key.endswith("/"):
            is_hidden = key == f"{TEMP_FOLDER}/"
            if not is_hidden and (key.startswith(prefix) or prefix.startswith(key)):
                yield from _walk(Path(entry.path), folder_key=key, prefix=prefix)
        elif key.startswith(prefix) and entry.is_file():
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            yield _describe(key, status)
