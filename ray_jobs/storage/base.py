"""The one storage abstraction: a flat key space below a root URI, as object stores have it.

Implemented by ``local.py`` (``file://``) and ``s3.py`` (``s3://``), opened by ``opening.py``; both
pass the same contract tests. Only this package speaks to storage, and only errors of
``distillery.errors`` leave it. Keys are relative, ``/``-separated, and never start with ``/``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

OnBytes = Callable[[int], None]
"""Called with the number of bytes moved since the last call, for progress: by one thread at a time,
not always the caller's, and with a negative number where a part has to be sent again."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """What is known of one stored object. ``sha256`` is hex, and ``None`` where nobody computed it
    (a listing, or an object put by something else)."""

    key: str
    size_bytes: int
    etag: str
    sha256: str | None = None


class Storage(Protocol):
    """Objects below one root. Every method raises ``ExternalError`` (reasons ``BucketMissing``,
    ``AccessDenied``, ``EndpointUnreachable``, ``StorageFailed``), or ``ResourceError`` (reason
    ``DiskFull``); transient faults are retried inside with backoff before that. Safe for threads;
    every process opens its own."""

    @property
    def uri(self) -> str:
        """The root, without a trailing slash."""

    def uri_of(self, key: str) -> str:
        """The full URI of ``key``."""

    def put_bytes(self, key: str, data: bytes) -> StoredObject:
        """Writes the whole object, atomically; replaces what is there. Returns its SHA-256."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Creates the object only if the key is free. Returns False, writing nothing, if taken.
        Of several writers at once exactly one gets True. Raises ``ExternalError`` with reason
        ``StorageUnfit`` where the storage can't promise that."""

    def put_file(self, key: str, path: Path, *, on_bytes: OnBytes | None = None) -> StoredObject:
        """Uploads a file of any size without reading it whole; readers see all of it or nothing.

        Returns: the object with the SHA-256 of what was sent. A file that changes meanwhile may
        raise ``ExternalError`` (reason ``StorageFailed``).
        """

    def get_bytes(self, key: str) -> bytes:
        """The whole object. Raises ``ExternalError`` with reason ``ObjectMissing``."""

    def get_file(
        self, key: str, path: Path, *, sha256: str | None = None, on_bytes: OnBytes | None = None
    ) -> None:
        """Downloads to ``path``, atomically. With ``sha256`` a mismatch raises ``ExternalError``
        (reason ``ChecksumMismatch``) and leaves no file."""

    def open_read(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """A stream over the object, read as it is consumed; it can seek. Raises ``ExternalError``
        with reason ``ObjectMissing``."""

    def stat(self, key: str) -> StoredObject | None:
        """What is stored under ``key``, or None."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects whose key starts with ``prefix`` (any text, not only a folder), in key
        order."""

    def delete(self, key: str) -> None:
        """Removes the object; a missing one is no error."""
