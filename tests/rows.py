"""Builders of rows, data files and steps' configs for the tests of prepare and curate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillery.manifests import ManifestRef
from distillery.spec.dataset import DataSource, Fields, PromptsSpec
from distillery.spec.job import DistillationJob, StorageSpec
from distillery.stage_configs import PinnedModel, PrepareConfig, StageConfig
from distillery.step_configs import Known, Place, build_config
from distillery.steps import PREPARE
from distillery.tasks import TASK_FACTS, TaskName
from ray_jobs.prepare.readers import RawRow
from ray_jobs.prepare.rows import Draft, RowMaker
from ray_jobs.records import AnswerRow, Message, PromptRow, RowStatus, Split
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task

SPLITS = ("train", "validation", "test")


def make_any_task(name: TaskName = TaskName.MATH, **prompts: Any) -> Task:
    """The task with its default labels."""
    labels = TASK_FACTS[name].default_labels
    return make_task(name, TaskOptions(labels=labels, prompts=PromptsSpec(**prompts)))


def make_draft(
    values: dict[str, Any],
    *,
    number: int = 1,
    task: TaskName = TaskName.MATH,
    split: Split = Split.TRAIN,
    max_words: int | None = None,
    needs_gold: bool = False,
    **fields: str,
) -> Draft:
    """The draft of one raw row; ``fields`` as in the job."""
    maker = RowMaker(
        task=make_any_task(task),
        split=split,
        fields=Fields(**fields),
        max_words=max_words,
        needs_gold=needs_gold,
    )
    return maker.make(RawRow(number=number, values=values))


def write_jsonl(path: Path, rows: Sequence[Any]) -> Path:
    """Writes one JSON value a line, without a last newline as the public sets have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def sum_rows(num_rows: int, *, start: int = 0) -> list[dict[str, Any]]:
    """Word problems, all different for different numbers."""
    return [
        {
            "question": f"Tom has {number} coins and {2 * number} stones. How many?",
            "answer": 3 * number,
        }
        for number in range(start, start + num_rows)
    ]


def write_sums(folder: Path, **rows: Sequence[Any]) -> dict[str, Any]:
    """Writes train, validation and test of word problems, or ``rows`` in their place.

    Returns: changes for ``make_job``.
    """
    default = {
        "train": sum_rows(45),
        "validation": sum_rows(42, start=1000),
        "test": sum_rows(10, start=2000),
    }
    for split in SPLITS:
        write_jsonl(folder / f"{split}.jsonl", rows.get(split, default[split]))
    return {f"dataset__{split}__uri": (folder / f"{split}.jsonl").as_uri() for split in SPLITS}


def make_prepare_config(folder: Path, job: DistillationJob) -> PrepareConfig:
    """Prepare's config for ``job``; ``folder`` takes its scratch files."""
    config = build_config(
        PREPARE, job, Known(), place=Place(scratch_dir=str(folder / "scratch")), attempt=1
    )
    assert isinstance(config, PrepareConfig)
    return config


def make_source(path: Path, **changes: Any) -> DataSource:
    """A local data source."""
    return DataSource.model_validate({"uri": path.as_uri(), **changes})


def write_config(path: Path, config: StageConfig) -> Path:
    """Writes a step's config as the controller sends it."""
    path.write_text(json.dumps(config.dump()), encoding="utf-8")
    return path


def make_prompt_row(
    row_id: str = "row",
    *,
    user: str = "1 + 1?",
    split: Split = Split.TRAIN,
    labels: tuple[str, ...] = (),
    messages: tuple[Message, ...] = (),
) -> PromptRow:
    """A prepared row with a short system message."""
    chat = messages or (
        Message(role="system", content="vanilla system"),
        Message(role="user", content=user),
    )
    return PromptRow(row_id=row_id, split=split, messages=chat, labels=labels, group=row_id)


def make_answer(row_id: str = "row", text: str = "2", **changes: Any) -> AnswerRow:
    """A finished answer of sample 0, turn 0 to the vanilla prompt."""
    given: dict[str, Any] = {
        "row_id": row_id,
        "split": Split.TRAIN,
        "variant": "Vanilla",
        "sample": 0,
        "turn": 0,
        "num_turns": 1,
        "key": f"key-{row_id}",
        "status": RowStatus.OK,
        "text": text,
        "finish_reason": "stop",
        **changes,
    }
    return AnswerRow(**given)


def make_pin(name: str) -> PinnedModel:
    """A pin with well-formed digests."""
    return PinnedModel(uri=f"file:///{name}", digest="ab" * 32, template_hash="cd" * 32)


def make_ref(prefix: str) -> ManifestRef:
    """A reference with a well-formed digest."""
    return ManifestRef(prefix=prefix, sha256="ef" * 32)


def local_storage(folder: Path) -> StorageSpec:
    """``file://`` storage in ``folder``."""
    return StorageSpec(uri=folder.as_uri())
