"""Row files: frozen data classes to Parquet and back, one column a field.

The classes are in ``records.py``. Files go to and come from storage through a local folder, so
that a row file is uploaded whole and checked by its SHA-256.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from distillery.errors import InvariantError
from distillery.manifests import Artefact, StepManifest
from ray_jobs.storage.base import Storage
from ray_jobs.storage.faults import os_faults

T = TypeVar("T")


def write_rows(path: Path, rows: Sequence[Any], row_type: type[Any]) -> None:
    """Writes ``rows``, all of ``row_type``, as one Parquet file; no rows still give its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    hints = typing.get_type_hints(row_type)
    names = [field.name for field in dataclasses.fields(row_type)]
    schema = pa.schema([(name, _arrow_type(hints[name])) for name in names])
    columns = {name: [_plain(getattr(row, name), hints[name]) for row in rows] for name in names}
    table = pa.table(columns, schema=schema)
    with os_faults(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd")


def read_rows(path: Path, row_type: type[T]) -> list[T]:
    """The rows of a file that ``write_rows`` wrote, in order."""
    import pyarrow.parquet as pq

    hints = typing.get_type_hints(row_type)
    return [
        row_type(**{name: _typed(value, hints[name]) for name, value in row.items()})
        for row in pq.read_table(path).to_pylist()
    ]


def store_rows(
    storage: Storage,
    prefix: str,
    path: str,
    rows: Sequence[Any],
    row_type: type[Any],
    *,
    scratch: Path,
) -> Artefact:
    """Writes rows to ``prefix/path`` in storage. Returns the artefact for the manifest."""
    local = scratch / path
    write_rows(local, rows, row_type)
    stored = storage.put_file(f"{prefix}/{path}", local)
    if stored.sha256 is None:
        raise InvariantError(f"{path}: storage gave no SHA-256 for an upload")
    return Artefact(path=path, size_bytes=stored.size_bytes, sha256=stored.sha256)


def load_rows(
    storage: Storage,
    prefix: str,
    manifest: StepManifest,
    path: str,
    row_type: type[T],
    *,
    scratch: Path,
) -> list[T]:
    """The rows of artefact ``path`` of a finished step, checked against its manifest."""
    artefact = find_artefact(manifest.artefacts, path)
    local = scratch / "in" / manifest.step / path
    local.parent.mkdir(parents=True, exist_ok=True)
    storage.get_file(f"{prefix}/{path}", local, sha256=artefact.sha256)
    return read_rows(local, row_type)


def find_artefact(artefacts: Iterable[Artefact], path: str) -> Artefact:
    """The artefact at ``path``. Raises ``InvariantError`` where the step left none."""
    for artefact in artefacts:
        if artefact.path == path:
            return artefact
    raise InvariantError(f"{path}: the manifest names no such artefact")


def _arrow_type(hint: Any) -> Any:
    import pyarrow as pa

    hint = _without_none(hint)
    scalars = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in scalars:
        return scalars[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return pa.string()
    if typing.get_origin(hint) is tuple:
        arguments = typing.get_args(hint)
        if _is_list(arguments):
            return pa.list_(_arrow_type(arguments[0]))
        return pa.struct([(f"f{i}", _arrow_type(item)) for i, item in enumerate(arguments)])
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return pa.struct([(f.name, _arrow_type(hints[f.name])) for f in dataclasses.fields(hint)])
    raise InvariantError(f"no column type for {hint}")


def _plain(value: Any, hint: Any) -> Any:
    """``value`` in the form of its column: tuples of fixed length are structs (f0, f1...)."""
    if value is None:
        return None
    hint = _without_none(hint)
    if isinstance(value, StrEnum):
        return value.value
    if typing.get_origin(hint) is tuple:
        arguments = typing.get_args(hint)
        if _is_list(arguments):
            return [_plain(item, arguments[0]) for item in value]
        return {
            f"f{i}": _plain(part, inner)
            for i, (part, inner) in enumerate(zip(value, arguments, strict=True))
        }
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return {name: _plain(getattr(value, name), inner) for name, inner in hints.items()}
    return value


def _typed(value: Any, hint: Any) -> Any:
    """The inverse of ``_plain``."""
    if value is None:
        return None
    hint = _without_none(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if typing.get_origin(hint) is tuple:
        arguments = typing.get_args(hint)
        if _is_list(arguments):
            return tuple(_typed(item, arguments[0]) for item in value)
        return tuple(_typed(value[f"f{i}"], item) for i, item in enumerate(arguments))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{name: _typed(item, hints[name]) for name, item in value.items()})
    return value


def _is_list(arguments: tuple[Any, ...]) -> bool:
    """Whether a tuple type is one of any length: ``tuple[str, ...]``."""
    return len(arguments) == 2 and arguments[1] is Ellipsis


def _without_none(hint: Any) -> Any:
    """``X`` of ``X | None``: every column may hold nothing."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    inner = [item for item in typing.get_args(hint) if item is not type(None)]
    if len(inner) != 1:
        raise InvariantError(f"no column type for {hint}")
    return inner[0]
