"""A stream over one S3 object which goes on where a broken connection left it."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Any

from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

Fetch = Callable[[int], IO[bytes]]
"""Opens the object's body from an offset on."""

_BROKEN = (HTTPClientError, IncompleteReadError, ResponseStreamingError, OSError)


class ObjectReader(io.RawIOBase):
    """Reads an object of ``size_bytes`` through ``fetch``, forwards or after a ``seek``.

    Args:
        fetch: Called after a seek and after a broken connection.
        body: The object's body from its start on.
        size_bytes: The object's size.
        max_breaks: Broken connections without a byte between them that are borne.
        wait: Called with the number of breaks before each further try.
        faults: Makes the context which turns the client's errors into the tree's.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        body: IO[bytes],
        size_bytes: int,
        max_breaks: int,
        wait: Callable[[int], None],
        faults: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__()
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._max_breaks = max_breaks
        self._wait = wait
        self._faults = faults
        self._position = 0
        self._body: IO[bytes] | None = body

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves; nothing is fetched before the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        position = max(0, start[whence] + offset)
        if position != self._position:
            self._drop_body()
            self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        """Fills ``buffer`` with what comes next; 0 at the end of the object.

        Raises:
            ExternalError: When the connection breaks too often, or the bytes aren't those stored.
        """
        with self._faults():
            data = self._read_on(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Gives the connection back."""
        self._drop_body()
        super().close()

    def _read_on(self, num_bytes: int) -> bytes:
        num_breaks = 0
        while True:
            try:
                return self._read_some(num_bytes)
            except _BROKEN:
                self._drop_body()
                num_breaks += 1
                if num_breaks > self._max_breaks:
                    raise
                self._wait(num_breaks)

    def _read_some(self, num_bytes: int) -> bytes:
        if self._position >= self._size_bytes:
            return self._read_end()
        if self._body is None:
            self._body = self._fetch(self._position)
        data = self._body.read(num_bytes)
        if not data:
            raise IncompleteReadError(actual_bytes=self._position, expected_bytes=self._size_bytes)
        return data

    def _read_end(self) -> bytes:
        """Nothing; boto3 compares its checksum when a body read from its start is read out."""
        if self._body is not None:
            self._body.read(1)
            self._drop_body()
        return b""

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
