"""How tests read YAML files."""

from pathlib import Path

import pytest

from tests.documents import read_document, read_documents


@pytest.mark.parametrize(
    ("text", "want"),
    [("2e-3", 0.002), ("1E5", 1e5), (".5e1", 5.0), ("-1.5e+3", -1500.0), ("'2e-3'", "2e-3"), ("e3", "e3"), ("1.5", 1.5), ("7", 7), ("0x10", 16)],
)  # fmt: skip
def test_numbers_are_read_as_kubectl_reads_them(tmp_path: Path, text: str, want: object) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(f"value: {text}\n")
    assert read_document(path) == {"value": want}


def test_all_documents_of_a_file_are_read_but_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("# head\n---\na: 1\n---\n---\nb: ü\n", encoding="utf-8")
    assert read_documents(path) == [{"a": 1}, {"b": "ü"}]
