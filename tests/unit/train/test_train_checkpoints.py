"""Which checkpoints count after a kill."""

from pathlib import Path

import pytest

from distillery.errors import InvariantError
from ray_jobs.train.checkpoints import (
    checkpoint_folder,
    copy_weights,
    find_latest,
    mark_complete,
    remove_incomplete,
)


def make_checkpoint(trial: Path, step: int, *, whole: bool = True) -> Path:
    folder = checkpoint_folder(trial, step=step)
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "optimizer.pt"):
        (folder / name).write_text(name)
    if whole:
        mark_complete(folder, step=step, num_workers=2)
    return folder


def test_the_latest_whole_checkpoint_counts_by_number_not_by_name(tmp_path: Path) -> None:
    for step, whole in ((9, True), (100, True), (150, False)):
        make_checkpoint(tmp_path, step, whole=whole)
    found = find_latest(tmp_path)
    assert found is not None
    assert (found.step, found.num_workers, found.folder.name) == (100, 2, "checkpoint-100")


def test_no_checkpoint_is_found_in_an_empty_folder(tmp_path: Path) -> None:
    assert find_latest(tmp_path) is None


def test_half_written_checkpoints_are_removed(tmp_path: Path) -> None:
    whole, half = make_checkpoint(tmp_path, 1), make_checkpoint(tmp_path, 2, whole=False)
    remove_incomplete(tmp_path)
    assert whole.exists()
    assert not half.exists()


def test_only_the_model_is_copied_out_of_a_checkpoint(tmp_path: Path) -> None:
    copy_weights(make_checkpoint(tmp_path, 1), tmp_path / "weights")
    names = sorted(path.name for path in (tmp_path / "weights").iterdir())
    assert names == ["config.json", "model.safetensors"]


def test_a_checkpoint_without_weights_is_a_bug(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, 1)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InvariantError, match=r"^checkpoint-1: holds no weights$"):
        copy_weights(folder, tmp_path / "weights")
