"""Which checkpoints of a trial are whole, and where the published files are in one.

The trainer writes ``checkpoint-<step>`` folders file by file, so a kill can leave half of one.
A mark written after all workers have finished says that a folder is whole; others don't count.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from distillery.errors import InvariantError

MARK_NAME = "complete.json"
CURVE_COPY = "curve.jsonl"
_PREFIX = "checkpoint-"
_WEIGHT_PATTERNS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint; ``num_workers`` wrote it."""

    folder: Path
    step: int
    num_workers: int


def checkpoint_folder(trial: Path, *, step: int) -> Path:
    """Where the trainer keeps the checkpoint of ``step``."""
    return trial / f"{_PREFIX}{step}"


def mark_complete(folder: Path, *, step: int, num_workers: int) -> None:
    """Makes the checkpoint count from now on, also after a power cut."""
    part = folder / f"{MARK_NAME}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump({"step": step, "numWorkers": num_workers}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / MARK_NAME)


def find_latest(trial: Path) -> Checkpoint | None:
    """The latest whole checkpoint of a trial; None where there is none."""
    found = [_read(path.parent) for path in trial.glob(f"{_PREFIX}*/{MARK_NAME}")]
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def remove_incomplete(trial: Path) -> None:
    """Removes what a kill left half-written, which the trainer would count as a checkpoint."""
    for folder in trial.glob(f"{_PREFIX}*"):
        if not (folder / MARK_NAME).exists():
            shutil.rmtree(folder)


def copy_weights(checkpoint: Path, target: Path) -> None:
    """Copies the model, or adapter, out of a checkpoint; optimizer state stays behind.

    Raises:
        InvariantError: There are no weights in it.
    """
    target.mkdir(parents=True, exist_ok=True)
    names = {path.name for pattern in _WEIGHT_PATTERNS for path in checkpoint.glob(pattern)}
    if not any(name.endswith(".safetensors") for name in names):
        raise InvariantError(f"{checkpoint.name}: holds no weights")
    for name in sorted(names):
        shutil.copyfile(checkpoint / name, target / name)


def _read(folder: Path) -> Checkpoint:
    mark = json.loads((folder / MARK_NAME).read_text("utf-8"))
    return Checkpoint(folder=folder, step=mark["step"], num_workers=mark["numWorkers"])
