"""Data files to raw rows: JSONL, CSV, TSV and Parquet. Mapping of columns is ``columns.py``'s.

Files are UTF-8, with or without a byte-order mark. CSV is quoted as RFC 4180 has it; TSV knows no
quoting at all (tabs split, quotes are text). Blank lines are skipped; a bad line is noted in
``RowProblems`` and reading goes on.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import SpecError
from distillery.spec.dataset import DataFormat
from ray_jobs.prepare.problems import RowProblems

UNREADABLE = "DataUnreadable"
_ENDINGS = {
    ".jsonl": DataFormat.JSONL,
    ".csv": DataFormat.CSV,
    ".tsv": DataFormat.TSV,
    ".parquet": DataFormat.PARQUET,
}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class RawRow:
    """A row as the file has it; ``number`` is its line, or its row where there are no lines."""

    number: int
    values: dict[str, Any]


def choose_format(path: str, given: DataFormat | None, *, place: str) -> DataFormat:
    """The file's format: as given, else by its name's ending.

    Raises:
        SpecError: The ending is unknown.
    """
    known = given or _ENDINGS.get(Path(path).suffix.lower())
    if known is None:
        raise SpecError(
            f"{place}.format: must be given for this ending, got {Path(path).suffix[:20]!r}; "
            f"use one of {', '.join(_ENDINGS.values())}",
            reason=UNREADABLE,
        )
    return known


def read_file(path: Path, form: DataFormat, problems: RowProblems) -> Iterator[RawRow]:
    """The rows of a file in order.

    Raises:
        SpecError: ``DataUnreadable`` where the file as a whole is none of its format.
    """
    return _READERS[form](path, problems)


def _read_jsonl(path: Path, problems: RowProblems) -> Iterator[RawRow]:
    for number, line in _lines(path):
        try:
            values = json.loads(line)
        except UnicodeDecodeError as error:
            problems.add(number, f"is no UTF-8, got {_byte(error)}; save the file as UTF-8")
        except json.JSONDecodeError as error:
            problems.add(
                number,
                f"is no JSON, got {error.msg!r} at character {error.colno}; "
                "write one JSON object a line",
            )
        else:
            if isinstance(values, dict):
                yield RawRow(number=number, values=values)
            else:
                problems.add(
                    number,
                    f"must be a JSON object, got {type(values).__name__}; write one object a line",
                )


def _read_tsv(path: Path, problems: RowProblems) -> Iterator[RawRow]:
    header: list[str] | None = None
    for number, line in _lines(path):
        try:
            cells = line.decode("utf-8").split("\t")
        except UnicodeDecodeError as error:
            problems.add(number, f"is no UTF-8, got {_byte(error)}; save the file as UTF-8")
            continue
        if header is None:
            header = _check_header(cells, problems.file)
        elif row := _cells_to_row(header, cells, number, problems):
            yield row


def _read_csv(path: Path, problems: RowProblems) -> Iterator[RawRow]:
    csv.field_size_limit(sys.maxsize)  # the default cuts off at 128 KiB: an article may be longer
    header: list[str] | None = None
    with io.TextIOWrapper(path.open("rb"), encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        number = 1
        try:
            for cells in reader:
                if header is None:
                    header = _check_header(cells, problems.file)
                elif cells and (row := _cells_to_row(header, cells, number, problems)):
                    yield row
                number = reader.line_num + 1
        except csv.Error as error:
            problems.add(number, f"is no CSV, got {str(error)[:80]}; quote the cells, or use TSV")
        except UnicodeDecodeError as error:
            problems.add(
                number, f"or a later line is no UTF-8, got {_byte(error)}; save the file as UTF-8"
            )


def _read_parquet(path: Path, problems: RowProblems) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(number=number, values=values)
    except pa.ArrowException as error:
        raise SpecError(
            f"{problems.file}: is no readable Parquet, got {type(error).__name__}; "
            "write the file again, or give its format",
            reason=UNREADABLE,
        ) from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without their ends; blank ones left out. Only LF ends a line: JSON text may
    hold the other characters that Python's text mode takes for one."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            text = (line.removeprefix(_BOM) if number == 1 else line).rstrip(b"\r\n")
            if text.strip():
                yield number, text


def _check_header(cells: list[str], file: str) -> list[str]:
    if len(set(cells)) < len(cells) or "" in cells:
        raise SpecError(
            f"{file}:1: the header must name every column once, got {', '.join(cells)[:80]!r}; "
            "add or mend the header line",
            reason=UNREADABLE,
        )
    return cells


def _cells_to_row(
    header: list[str], cells: list[str], number: int, problems: RowProblems
) -> RawRow | None:
    if len(cells) != len(header):
        problems.add(
            number,
            f"must have {len(header)} cells as the header, got {len(cells)}; mend the line",
        )
        return None
    return RawRow(number=number, values=dict(zip(header, cells, strict=True)))


def _byte(error: UnicodeDecodeError) -> str:
    return f"byte 0x{error.object[error.start]:02x}"


_READERS: dict[DataFormat, Callable[[Path, RowProblems], Iterator[RawRow]]] = {
    DataFormat.JSONL: _read_jsonl,
    DataFormat.CSV: _read_csv,
    DataFormat.TSV: _read_tsv,
    DataFormat.PARQUET: _read_parquet,
}
