"""Segments in storage: durable, never changed, read back with their winners."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.errors import ExternalError
from ray_jobs.answers.index import AnswerIndex
from ray_jobs.answers.keys import TeacherIdentity
from ray_jobs.answers.segments import read_provenance, segment_name
from ray_jobs.answers.store import SegmentWriter, load_index, segments_prefix
from ray_jobs.engines.base import FinishReason
from ray_jobs.storage.local import LocalStorage
from tests.stored_answers import key, make_answer

PREFIX = segments_prefix(
    namespace="ns", teacher=TeacherIdentity(weights_digest="d", quantisation="auto")
)

COLUMNS = ("key", "text", "finish_reason", "num_prompt_tokens", "num_tokens", "max_model_len")


def make_clock(*times: float) -> Iterator[float]:
    return iter(times)


def make_writer(storage: LocalStorage, writer: str, *times: float) -> SegmentWriter:
    clock = make_clock(*times)
    return SegmentWriter(
        storage, PREFIX, writer=writer, provenance={"engine": "vllm"}, clock=lambda: next(clock)
    )


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    answers = [
        make_answer(key("a"), text="eight \u00e9\n"),
        make_answer(key("b"), finish_reason=FinishReason.LENGTH, num_tokens=16, text=""),
    ]
    make_writer(storage, "w", 1.0).write(answers)
    index = load_index(LocalStorage(tmp_path), PREFIX, scratch=tmp_path / "scratch")
    assert [index.get(key(name)) for name in "abc"] == [*answers, None]


def test_winner_is_the_earlier_segment_whoever_wrote_it(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    make_writer(storage, "aaa", 20.0).write([make_answer(key("k"), text="late")])
    make_writer(storage, "zzz", 3.0).write([make_answer(key("k"), text="early")])
    winner = load_index(storage, PREFIX, scratch=tmp_path / "scratch").get(key("k"))
    assert winner is not None
    assert winner.text == "early"


def test_index_is_the_same_after_a_segment_is_added_twice() -> None:
    index = AnswerIndex()
    index.add("1", [make_answer("k", text="first")])
    index.add("2", [make_answer("k", text="second"), make_answer("l")])
    index.add("1", [make_answer("k", text="first")])
    assert len(index) == 2
    winner = index.get("k")
    assert winner is not None
    assert winner.text == "first"


def test_taken_segment_name_is_never_overwritten(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    taken = f"{PREFIX}/{segment_name(time_s=1.0, writer='w', number=0)}"
    storage.put_new(taken, b"someone else's")
    name = make_writer(storage, "w", 1.0, 1.0).write([make_answer(key("k"))])
    assert name == segment_name(time_s=1.0, writer="w", number=1)
    assert storage.get_bytes(taken) == b"someone else's"


def test_names_sort_by_time_before_writer_and_number() -> None:
    names = [
        segment_name(time_s=9.5, writer="z", number=3),
        segment_name(time_s=10.0, writer="b", number=1),
        segment_name(time_s=1e9, writer="a", number=0),
    ]
    assert sorted(names) == names


def test_segment_records_how_its_answers_were_made(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    name = make_writer(storage, "w", 1.0).write([make_answer(key("k"))])
    assert read_provenance(storage.get_bytes(f"{PREFIX}/{name}")) == {"engine": "vllm"}


def test_damaged_segment_is_named_and_not_passed_over(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    name = make_writer(storage, "w", 1.0).write([make_answer(key("k"))])
    data = storage.get_bytes(f"{PREFIX}/{name}")
    storage.put_bytes(f"{PREFIX}/{name}", data[:-20])
    with pytest.raises(
        ExternalError, match=r"w-000000\.parquet: not a segment of answers, got \d+ bytes; restore"
    ) as raised:
        load_index(storage, PREFIX, scratch=tmp_path / "scratch")
    assert raised.value.reason == "SegmentUnreadable"


def test_other_files_below_the_prefix_are_no_segments(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put_bytes(f"{PREFIX}/README", b"hands off")
    assert len(load_index(storage, PREFIX, scratch=tmp_path / "scratch")) == 0


def test_parquet_of_another_kind_is_no_segment(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    storage = LocalStorage(tmp_path / "store")
    for number, table in enumerate(
        (
            pa.table({"x": [1]}),
            pa.table({name: ["short"] for name in COLUMNS}),
        )
    ):
        pq.write_table(table, tmp_path / "x.parquet")
        data = (tmp_path / "x.parquet").read_bytes()
        storage.put_bytes(f"{PREFIX}/{number}.parquet", data)
        with pytest.raises(ExternalError, match="not a segment of answers"):
            load_index(storage, PREFIX, scratch=tmp_path / "scratch")
        storage.delete(f"{PREFIX}/{number}.parquet")
