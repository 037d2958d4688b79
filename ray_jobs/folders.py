"""A folder of the driver's machine, on the machine of an engine: models and adapters.

Drivers fetch and merge models where they run. An engine on another machine, whose disk isn't the
same, gets a copy through Ray before it loads it. What is in a folder is not known here; downloads
are ``ray_jobs.models``', storage ``ray_jobs.storage``'s.
"""

import fcntl
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from distillery.errors import ExternalError, word
from ray_jobs.storage.faults import object_missing, os_faults, read_faults
from ray_jobs.storage.receiving import receive, write_chunks

_LOG = logging.getLogger(__name__)

CHUNK_BYTES = 32 << 20
NUM_AHEAD = 4
"""Chunks asked for before they are needed."""


@dataclass(frozen=True, kw_only=True)
class FolderFile:
    """A file by its path below the folder."""

    path: str
    size_bytes: int


class Source(Protocol):
    """Where a folder is copied from."""

    def list_files(self) -> list[FolderFile]:
        """All of its files; links are what they lead to."""
        ...

    def read(self, file: FolderFile) -> Iterator[bytes]:
        """A file's bytes in order."""
        ...


class FolderReader:
    """Reads a folder of this machine; an actor on the driver's."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def list_files(self) -> list[FolderFile]:
        """As ``Source.list_files``. Raises ``ExternalError``."""
        if not self._folder.is_dir():
            raise object_missing(str(self._folder))
        with read_faults(str(self._folder)):
            found = (path for path in self._folder.rglob("*") if path.is_file())
            return [
                FolderFile(
                    path=path.relative_to(self._folder).as_posix(), size_bytes=path.stat().st_size
                )
                for path in sorted(found)
            ]

    def read(self, path: str, offset: int, size: int) -> bytes:
        """``size`` bytes of a file. Raises ``ExternalError``."""
        place = self._folder / path
        with read_faults(str(place)), place.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)


def driver_node() -> str:
    """The machine this process runs on, for ``bring_folder`` elsewhere."""
    import ray

    node: str = ray.get_runtime_context().get_node_id()
    return node


def bring_folder(folder: Path, *, home: str) -> bool:
    """Makes the folder be here, as it is on machine ``home``. Returns whether it was copied.

    Raises:
        ExternalError: ``FolderUnreachable``: the other machine is gone; or its disk failed.
        ResourceError: ``DiskFull``.
    """
    if folder.is_dir():
        return False
    with reading_from(home, folder) as source:
        return copy_folder(source, folder)


def bring_folder_to(nodes: Iterable[str], folder: Path, *, home: str) -> None:
    """Makes the folder be on each of these machines, all at a time. Raises as ``bring_folder``."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    bring = ray.remote(bring_folder)
    brought = [
        bring.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False),
        ).remote(folder, home=home)
        for node in nodes
    ]
    for reference in brought:
        _get(reference, folder)


def copy_folder(source: Source, folder: Path) -> bool:
    """Copies all files; the folder gets its name when it is whole. A copy that was cut goes on
    where it was. False where another process here was faster."""
    with os_faults(str(folder)), _locked(folder):
        if folder.is_dir():
            return False
        part = folder.with_name(f"{folder.name}.part")
        part.mkdir(exist_ok=True)
        for file in source.list_files():
            target = part / file.path
            if target.exists() and target.stat().st_size == file.size_bytes:
                continue
            with receive(target) as received:
                write_chunks(received, source.read(file))
                if received.stat().st_size != file.size_bytes:
                    raise _unreachable(folder, "fewer bytes than there are")
        part.rename(folder)
    _LOG.info("folder is copied from the driver's machine folder=%s", folder)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process of this machine at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def reading_from(home: str, folder: Path) -> Iterator[Source]:
    """The folder as it is on machine ``home``. What is read raises as ``bring_folder``."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor = (
        ray.remote(FolderReader)
        .options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=home, soft=False),
        )
        .remote(str(folder))
    )
    try:
        yield _RaySource(actor, folder)
    finally:
        ray.kill(actor)


class _RaySource:
    """``Source`` over a ``FolderReader`` elsewhere."""

    def __init__(self, reader: Any, folder: Path) -> None:
        self._reader = reader
        self._folder = folder

    def list_files(self) -> list[FolderFile]:
        files: list[FolderFile] = _get(self._reader.list_files.remote(), self._folder)
        return files

    def read(self, file: FolderFile) -> Iterator[bytes]:
        ahead: deque[Any] = deque()
        for offset in range(0, file.size_bytes, CHUNK_BYTES):
            ahead.append(self._reader.read.remote(file.path, offset, CHUNK_BYTES))
            if len(ahead) >= NUM_AHEAD:
                yield _get(ahead.popleft(), self._folder)
        while ahead:
            yield _get(ahead.popleft(), self._folder)


def _get(reference: Any, folder: Path) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:  # The process or the machine is gone, or never was.
        raise _unreachable(folder, type(error).__name__) from error


def _unreachable(folder: Path, got: str) -> ExternalError:
    problem = f"the driver's machine must give this folder, got {got}; see the step's log"
    return ExternalError(word(str(folder), problem), reason="FolderUnreachable")
