"""A file that appears under its name only when it is whole: how local files are written.

``local.py`` stores objects this way; both storages download this way.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def receive(path: Path) -> Iterator[Path]:
    """Gives an empty file in ``path``'s folder, which becomes ``path`` on leaving.

    An error inside removes it and leaves ``path`` as it was. Missing folders are made.

    Raises:
        OSError: From the file system, unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with part_file(path.parent, prefix=f".{path.name[:100]}.") as part:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)


@contextmanager
def part_file(folder: Path, *, prefix: str = "") -> Iterator[Path]:
    """Gives a new empty file of a name nobody else has, removed on leaving if it is still there."""
    part = folder / f"{prefix}{secrets.token_hex(8)}.part"
    part.touch(exist_ok=False)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Fills ``path`` and waits until its content is on the disk."""
    with path.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())


def sync(path: Path) -> None:
    """Waits until the content of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
