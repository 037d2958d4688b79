"""Files to raw rows: forms, quirks, and what is said of bad lines."""

from pathlib import Path

import pytest

from distillery.errors import SpecError
from distillery.spec.dataset import DataFormat
from ray_jobs.prepare.problems import MAX_SHOWN, RowProblems
from ray_jobs.prepare.readers import RawRow, choose_format, read_file


def read(path: Path, content: bytes) -> tuple[list[RawRow], RowProblems]:
    path.write_bytes(content)
    problems = RowProblems(path.name)
    form = choose_format(path.name, None, place="dataset.train")
    return list(read_file(path, form, problems)), problems


def message_of(problems: RowProblems) -> str:
    with pytest.raises(SpecError) as caught:
        problems.raise_if_any()
    assert caught.value.reason == "BadRows"
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(b'{"a": 1}\n{"a": 2}', [(1, 1), (2, 2)], id="no last newline"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n', [(1, 1), (3, 2)], id="BOM, CRLF"),
        pytest.param(
            '{"a": "x\u2028y"}\n'.encode(), [(1, "x\u2028y")], id="line separator in text"
        ),
    ],
)
def test_jsonl_lines_keep_their_numbers(
    tmp_path: Path, content: bytes, want: list[tuple[int, object]]
) -> None:
    rows, problems = read(tmp_path / "train.jsonl", content)

    problems.raise_if_any()
    assert [(row.number, row.values["a"]) for row in rows] == want


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(
            b"{secret",
            "train.jsonl:2: is no JSON, got 'Expecting property name enclosed in double quotes' at "
            "character 2; write one JSON object a line",
            id="no JSON",
        ),
        pytest.param(
            b"[1]",
            "train.jsonl:2: must be a JSON object, got list; write one object a line",
            id="no object",
        ),
        pytest.param(
            b'{"a": "\xff"}',
            "train.jsonl:2: is no UTF-8, got byte 0xff; save the file as UTF-8",
            id="no UTF-8",
        ),
    ],
)
def test_bad_jsonl_line_is_told_by_file_and_line(tmp_path: Path, line: bytes, want: str) -> None:
    rows, problems = read(tmp_path / "train.jsonl", b'{"a": 1}\n' + line + b'\n{"a": 3}\n')

    assert [row.number for row in rows] == [1, 3]
    assert message_of(problems) == want


def test_first_bad_rows_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    _, problems = read(tmp_path / "train.jsonl", b"no\n" * 12)

    lines = message_of(problems).splitlines()
    assert len(lines) == MAX_SHOWN + 1
    assert lines[4].startswith("train.jsonl:5: is no JSON")
    assert lines[5] == "train.jsonl: 7 more rows are bad; mend or drop them"


def test_tsv_knows_no_quotes_and_drops_the_byte_order_mark(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfPremise\tLabel\nHe said "no\tneutral\n"a" b\tentailment\n'

    rows, problems = read(tmp_path / "dev.tsv", content)

    problems.raise_if_any()
    assert [row.values for row in rows] == [
        {"Premise": 'He said "no', "Label": "neutral"},
        {"Premise": '"a" b', "Label": "entailment"},
    ]


def test_csv_cells_may_be_quoted_and_long(tmp_path: Path) -> None:
    article = "word " * 40_000
    content = f'\ufefftext,gold\n"two\nlines, quoted","say ""x"""\n{article},1\n'.encode()

    rows, problems = read(tmp_path / "train.csv", content)

    problems.raise_if_any()
    assert [row.number for row in rows] == [2, 4]
    assert rows[0].values == {"text": "two\nlines, quoted", "gold": 'say "x"'}
    assert rows[1].values["text"] == article


@pytest.mark.parametrize(
    ("name", "content", "want"),
    [
        pytest.param(
            "a.tsv",
            b"x\ty\n1\n",
            "a.tsv:2: must have 2 cells as the header, got 1; mend the line",
            id="tsv cells",
        ),
        pytest.param(
            "a.csv",
            b"x,y\n1,2,3\n",
            "a.csv:2: must have 2 cells as the header, got 3; mend the line",
            id="csv cells",
        ),
        pytest.param(
            "a.csv",
            b'x,y\n"1"2,3\n',
            "a.csv:2: is no CSV, got ',' expected after '\"'; quote the cells, or use TSV",
            id="csv quotes",
        ),
        pytest.param(
            "a.csv",
            b"x,y\n1,\xff\n",
            "a.csv:1: or a later line is no UTF-8, got byte 0xff; save the file as UTF-8",
            id="csv bytes",
        ),
        pytest.param(
            "a.tsv",
            b"x\ty\n\xff\t1\n",
            "a.tsv:2: is no UTF-8, got byte 0xff; save the file as UTF-8",
            id="tsv bytes",
        ),
    ],
)
def test_bad_table_line_is_told_by_file_and_line(
    tmp_path: Path, name: str, content: bytes, want: str
) -> None:
    _, problems = read(tmp_path / name, content)

    assert message_of(problems) == want


def test_header_must_name_every_column_once(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"a.csv:1: the header must name every column once, got 'x, x'"
    ):
        read(tmp_path / "a.csv", b"x,x\n1,2\n")


def test_parquet_gives_nested_values(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "train.parquet"
    values = [{"q": {"stem": "a"}}, {"q": {"stem": "b"}}]
    pq.write_table(pa.Table.from_pylist(values), path)

    rows = list(read_file(path, DataFormat.PARQUET, RowProblems(path.name)))

    assert [(row.number, row.values) for row in rows] == [(1, values[0]), (2, values[1])]


def test_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"train.parquet: is no readable Parquet, got ArrowInvalid"):
        read(tmp_path / "train.parquet", b"nothing of the kind")


def test_unknown_ending_needs_a_format() -> None:
    assert choose_format("data.txt", DataFormat.TSV, place="dataset.train") is DataFormat.TSV
    with pytest.raises(
        SpecError,
        match=r"dataset.train.format: must be given for this ending, got '.txt'; use one of jsonl",
    ):
        choose_format("data.txt", None, place="dataset.train")
