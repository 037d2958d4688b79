"""When a folder of the miniature counts as finished."""

from pathlib import Path

import pytest

from examples.miniature import __main__ as command
from examples.miniature import cache


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("row\n")
    cache.write_marker(tmp_path, recipe_hash=cache.hash_recipe(seed=0), seed=0)
    return tmp_path


def is_finished(out: Path, *, seed: int = 0) -> bool:
    return cache.is_finished(out, recipe_hash=cache.hash_recipe(seed=seed))


def test_marked_folder_is_finished(finished: Path) -> None:
    assert is_finished(finished)


def test_folder_of_another_seed_is_not_finished(finished: Path) -> None:
    assert not is_finished(finished, seed=1)


def test_folder_that_lost_or_changed_a_file_is_not_finished(finished: Path) -> None:
    (finished / "data" / "train.jsonl").write_text("two\nrows\n")
    assert not is_finished(finished)
    (finished / "data" / "train.jsonl").unlink()
    assert not is_finished(finished)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recipeHash": 1, "files": []}'])
def test_folder_with_a_broken_marker_is_not_finished(finished: Path, text: str) -> None:
    (finished / cache.MARKER).write_text(text)
    assert not is_finished(finished)


def test_folder_without_marker_is_not_finished(finished: Path) -> None:
    cache.remove_marker(finished)
    cache.remove_marker(finished)
    assert not is_finished(finished)


def test_second_call_exits_at_once_and_says_so(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--out", str(finished)]) == 0
    assert capsys.readouterr().out == f"{finished}: finished already, nothing to do\n"


def test_help_teaches_what_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for part in ("data/train.jsonl", "teacher/, student/", "--seed", "example:"):
        assert part in text


def test_out_is_demanded(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main([])
    assert stop.value.code == 2
    assert "the following arguments are required: --out" in capsys.readouterr().err
