"""SHA-256 of what passes by, so that no byte is read twice just to be hashed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ray_jobs.storage.base import OnBytes

CHUNK_BYTES = 1 << 20


class HashingReader:
    """A file read once from start to end, which knows the SHA-256 and the count of what was read.

    Seeking is allowed only to ask for the size (boto3 does, before it reads).
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.num_bytes = 0

    @property
    def sha256(self) -> str:
        """Hex digest of all that was read until now."""
        return self._sha256.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the file, counted and hashed."""
        data = self._stream.read(size)
        self._sha256.update(data)
        self.num_bytes += len(data)
        return data

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves without hashing."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The position in the file."""
        return self._stream.tell()


def iterate_chunks(
    reader: HashingReader | IO[bytes], *, on_bytes: OnBytes | None = None
) -> Iterator[bytes]:
    """The rest of ``reader`` in chunks, telling ``on_bytes`` of each after it was taken."""
    while chunk := reader.read(CHUNK_BYTES):
        yield chunk
        if on_bytes is not None:
            on_bytes(len(chunk))


def hash_file(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
