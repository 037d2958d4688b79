"""Rows survive their files, and files their storage."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from distillery.errors import ExternalError, InvariantError
from distillery.manifests import StepManifest
from ray_jobs.curate.judging import CuratedRow
from ray_jobs.prepare.duplicates import DroppedRow, DropReason
from ray_jobs.records import (
    GoldRow,
    Message,
    PredictionRow,
    PromptRow,
    RejectedRow,
    RowStatus,
    Split,
    TargetRow,
)
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import load_rows, read_rows, store_rows, write_rows
from tests.rows import make_answer


class Colour(StrEnum):
    """A closed set."""

    RED = "red"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Everything:
    """A field of every kind that rows may have."""

    text: str
    number: int
    share: float
    flag: bool
    colour: Colour
    texts: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    pairs: tuple[tuple[str, float], ...] = ()
    pair: tuple[str, int] = ("", 0)
    maybe: str | None = None
    maybe_pair: tuple[str, int] | None = None
    nested: tuple[tuple[str, ...], ...] = ()


MESSAGES = (Message(role="user", content="ü\n\u2028"), Message(role="assistant", content=""))
FULL = Everything(
    text="a",
    number=-(2**60),
    share=0.1,
    flag=True,
    colour=Colour.RED,
    texts=("", "b"),
    messages=MESSAGES,
    pairs=(("rouge", 0.5), ("x", 1.0)),
    pair=("p", 3),
    maybe="m",
    maybe_pair=("q", 4),
    nested=(("a", "b"), ()),
)
EMPTY = Everything(text="", number=0, share=0.0, flag=False, colour=Colour.RED)
REAL_ROWS: list[Any] = [
    PromptRow(row_id="a", split=Split.TEST, messages=MESSAGES, labels=("A",), group="g"),
    GoldRow(row_id="a", gold="1", accepted=("2", "3")),
    make_answer(),
    TargetRow(row_id="a", split=Split.TRAIN, messages=MESSAGES),
    PredictionRow(
        row_id="a", group="g", text="t", status=RowStatus.OK, scores=(("accuracy", 1.0),)
    ),
    DroppedRow(split=Split.TRAIN, number=3, reason=DropReason.DUPLICATE),
    CuratedRow(
        row_id="a", split=Split.TRAIN, variant="Vanilla", status=RowStatus.OK, answers=("1",)
    ),
    RejectedRow(
        row_id="a",
        split=Split.TRAIN,
        variant="Vanilla",
        sample=0,
        turn=0,
        status=RowStatus.REFUSED,
        detail="d",
        text="t",
    ),
]


@pytest.mark.parametrize(
    "rows",
    [pytest.param([FULL, EMPTY], id="every kind of field")]
    + [pytest.param([row], id=type(row).__name__) for row in REAL_ROWS],
)
def test_rows_come_back_as_they_were(tmp_path: Path, rows: list[Any]) -> None:
    row_type = type(rows[0])
    path = tmp_path / "deep" / "rows.parquet"

    write_rows(path, rows, row_type)

    assert read_rows(path, row_type) == rows


def test_file_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "rows.parquet"
    write_rows(path, [], GoldRow)

    assert read_rows(path, GoldRow) == []
    assert pq.read_schema(path).names == ["row_id", "gold", "accepted"]


def test_type_without_a_column_is_our_bug(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Odd:
        blob: bytes

    with pytest.raises(InvariantError, match="no column type for <class 'bytes'>"):
        write_rows(tmp_path / "x.parquet", [], Odd)


def test_stored_rows_are_checked_when_loaded(tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "store").as_uri())
    rows = [GoldRow(row_id="a", gold="1")]
    artefact = store_rows(
        storage, "step/1", "gold/train.parquet", rows, GoldRow, scratch=tmp_path / "out"
    )
    manifest = StepManifest(
        job="j",
        namespace="n",
        step="prepare",
        input_hash="1",
        artefacts=(artefact,),
        versions={},
        inputs={},
        summary={},
    )

    def load(path: str) -> list[GoldRow]:
        return load_rows(storage, "step/1", manifest, path, GoldRow, scratch=tmp_path / "in")

    assert load("gold/train.parquet") == rows
    with pytest.raises(InvariantError, match=r"gold/test.parquet: the manifest names no such"):
        load("gold/test.parquet")
    storage.put_bytes("step/1/gold/train.parquet", b"something else")
    with pytest.raises(ExternalError, match="content must have sha256"):
        load("gold/train.parquet")
