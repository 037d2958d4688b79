"""SHA-256 of what passes by, and of whole files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ray_jobs.storage.base import OnBytes

CHUNK_BYTES = 1 << 20


class HashingReader:
    """A stream read from start to end, which knows the SHA-256 of what was read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hex digest of all that was read until now."""
        return self._sha256.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the file, hashed."""
        data = self._stream.read(size)
        self._sha256.update(data)
        return data


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
