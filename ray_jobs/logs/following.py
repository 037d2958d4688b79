"""One log, from its files on this machine to its parts in storage.

The place in a file is kept by inode, so a rotated file is read to its end under its new name. A
shipper that starts again finds the place by what the log's last part says. Which logs there are is
``files.py``'s, how many parts stay ``parts.py``'s.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from ray_jobs.logs.files import LogFile
from ray_jobs.logs.parts import Limits, Part, part_name
from ray_jobs.storage.base import Storage
from ray_jobs.storage.keys import join_key

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the last part came from: the file, and the part's borders in it."""

    inode: int
    start: int
    end: int


class FollowedLog:
    """A log and its parts.

    Args:
        storage: Where parts go.
        prefix: The pod's.
        name: The log's.
        parts: What is in storage already, in order.
        limits: Sizes.
    """

    def __init__(
        self, storage: Storage, *, prefix: str, name: str, parts: Sequence[Part], limits: Limits
    ) -> None:
        self._storage = storage
        self._prefix = prefix
        self._name = name
        self._limits = limits
        self._place: _Place | None = None
        self._is_looked_for = not parts
        self._end = parts[-1].end if parts else 0
        self.parts = list(parts)

    def ship(self, files: Sequence[LogFile]) -> int:
        """Uploads what is new in the log's files, which are given oldest first. Returns its bytes.

        Raises:
            DistilleryError: As storage does; OSError: a file can't be read. What was shipped before
                is kept, the rest goes the next time.
        """
        if not self._is_looked_for:
            self._place = self._look_for(files)
            self._is_looked_for = True
        return sum(self._ship_file(file, start) for file, start in self._unread(files))

    def drop(self, parts: Sequence[Part]) -> None:
        """Removes parts from storage. Raises as storage does."""
        for part in parts:
            self._storage.delete(self._key(part.start))
            self.parts.remove(part)
        _LOG.info(
            "parts are dropped to stay within the limit log=%s parts=%d bytes=%d",
            self._name,
            len(parts),
            sum(part.size_bytes for part in parts),
        )

    def _unread(self, files: Sequence[LogFile]) -> Iterator[tuple[LogFile, int]]:
        """The files with something new, and where it begins."""
        place = self._place
        index = next(
            (at for at, file in enumerate(files) if place and file.inode == place.inode), -1
        )
        for file in files[max(index, 0) :]:
            is_known = place is not None and file.inode == place.inode
            # A file that has become shorter was emptied and begins anew.
            start = place.end if place and is_known and file.size_bytes >= place.end else 0
            if file.size_bytes > start:
                yield file, start

    def _ship_file(self, file: LogFile, start: int) -> int:
        with file.path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_ino != file.inode:
                return 0  # Rotated this moment: it is found under its new name the next time.
            position = start
            while position < status.st_size:
                position = self._ship_part(stream, file.inode, position, size=status.st_size)
            return status.st_size - start

    def _ship_part(self, stream: IO[bytes], inode: int, position: int, *, size: int) -> int:
        """Uploads what fits into a part from ``position`` on. Returns where the next begins."""
        grown = self._growing(inode, position)
        if grown is None:
            skipped = self._skipped_bytes(size - position)
            begin, part_start, kept = position + skipped, self._end + skipped, self.parts
        else:
            begin, part_start, kept = grown.start, self.parts[-1].start, self.parts[:-1]
        stream.seek(begin)
        data = stream.read(min(self._limits.part_bytes, size - begin))
        if not data:
            return size  # Emptied this moment.
        self._storage.put_bytes(self._key(part_start), data)
        part = Part(start=part_start, size_bytes=len(data))
        self.parts = [*kept, part]
        self._end = part.end
        self._place = _Place(inode=inode, start=begin, end=begin + len(data))
        return self._place.end

    def _growing(self, inode: int, position: int) -> _Place | None:
        """The last part's place, if what follows at ``position`` belongs to that part."""
        place = self._place
        if place is None or (place.inode, place.end) != (inode, position):
            return None
        return place if 0 < place.end - place.start < self._limits.part_bytes else None

    def _skipped_bytes(self, num_unread: int) -> int:
        """How much of the unread goes at once, for it wouldn't stay. A first part is kept."""
        skipped = max(0, num_unread - self._limits.log_bytes) if self.parts else 0
        if skipped:
            _LOG.info("a piece of the log is dropped log=%s bytes=%d", self._name, skipped)
        return skipped

    def _look_for(self, files: Sequence[LogFile]) -> _Place:
        """Where the last part came from, by its content; a file's beginning is a part's. Else the
        beginning of the newest file: what the older ones held was most likely shipped."""
        last = self.parts[-1]
        data = self._storage.get_bytes(self._key(last.start))
        starts = sorted(
            {last.start, *(last.start - part.start for part in self.parts)}, reverse=True
        )
        for file in reversed(files):
            for start in starts:
                if start + len(data) <= file.size_bytes and _read(file, start, len(data)) == data:
                    return _Place(inode=file.inode, start=start, end=start + len(data))
        _LOG.warning("log isn't the one shipped before, it is shipped anew log=%s", self._name)
        return _Place(inode=files[-1].inode, start=0, end=0)

    def _key(self, start: int) -> str:
        return join_key(self._prefix, part_name(self._name, start))


def _read(file: LogFile, start: int, size: int) -> bytes:
    with file.path.open("rb") as stream:
        stream.seek(start)
        return stream.read(size)
