"""A Ray job's driver log, followed as it grows, and the records in it.

On this machine the file itself is read on from where the last look ended. Elsewhere the Jobs API
has only the whole log, so it is fetched the more rarely the longer it has become.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from distillery.progress import Outcome, Progress, parse_record

MIN_FETCH_INTERVAL_S = 1.0
FETCH_SECONDS_PER_BYTE = 5e-6
"""A log of 1 MB is fetched every 5 s: 0.2 MB/s at most."""


class LogSource(Protocol):
    """Where a driver's log comes from."""

    def read_on(self, offset: int, *, to_end: bool) -> bytes:
        """What follows the first ``offset`` bytes; ``to_end``: surely all there is."""
        ...


class LocalLogSource:
    """A log file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read_on(self, offset: int, *, to_end: bool) -> bytes:
        """See ``LogSource``."""
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            return b""


class FetchedLogSource:
    """A log that is fetched whole.

    Args:
        fetch: Gets the log.
        clock: Monotonic seconds.
    """

    def __init__(
        self, fetch: Callable[[], str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._next_at = clock()

    def read_on(self, offset: int, *, to_end: bool) -> bytes:
        """See ``LogSource``."""
        if not to_end and self._clock() < self._next_at:
            return b""
        data = self._fetch().encode()
        interval_s = max(MIN_FETCH_INTERVAL_S, len(data) * FETCH_SECONDS_PER_BYTE)
        self._next_at = self._clock() + interval_s
        return data[offset:]


class DriverLog:
    """Follows one attempt's log into ``copy`` and keeps its last records.

    Args:
        copy: The file in the run's folder, if there is one. It starts anew: a run that takes an
            attempt over copies from the beginning.
    """

    def __init__(self, source: LogSource, *, copy: Path | None = None) -> None:
        self._source = source
        self._copy = copy
        self._offset = 0
        self._partial = b""
        self.progress: Progress | None = None
        self.outcome: Outcome | None = None
        if copy is not None:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(b"")

    def follow(self, *, to_end: bool = False) -> None:
        """Copies what is new and reads its records. ``to_end``: the job has ended, read it all."""
        data = self._source.read_on(self._offset, to_end=to_end)
        if data:
            self._offset += len(data)
            if self._copy is not None:
                with self._copy.open("ab") as file:
                    file.write(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        if to_end and self._partial:
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            record = parse_record(line.decode(errors="replace"))
            if isinstance(record, Progress):
                self.progress = record
            elif isinstance(record, Outcome):
                self.outcome = record
