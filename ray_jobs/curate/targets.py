"""Usable answers, or gold, to training rows: the vanilla prompt and the target. Pure.

The prompt is the prepared row's own, whatever prompt the teacher was asked with (METHOD,
procedure 3).
"""

from collections.abc import Iterable, Mapping, Sequence

from distillery.errors import InvariantError, SpecError
from distillery.stage_configs import TargetSet
from distillery.summaries import TargetSetSummary
from distillery.tasks import Arm
from ray_jobs.curate.judging import Judged
from ray_jobs.records import GoldRow, PromptRow, RowStatus, Split, TargetRow
from ray_jobs.tasks.base import Task

NO_ROWS_LEFT = "NoRowsLeft"
TRAINING_SPLITS = (Split.TRAIN, Split.VALIDATION)
SetRows = Mapping[Split, Sequence[TargetRow]]


def targets_path(target_set: TargetSet, split: Split) -> str:
    """The artefact with a set's ``TargetRow``s of a split."""
    return f"targets/{target_set.name}/{split}.parquet"


def build_targets(
    rows: Sequence[PromptRow],
    target_set: TargetSet,
    *,
    task: Task,
    judged: Mapping[str, Sequence[Judged]],
    gold: Mapping[str, GoldRow],
) -> list[TargetRow]:
    """The training rows of one set and split, in the order of ``rows``.

    Args:
        judged: Variant to the verdicts on ``rows``.
        gold: By row id.
    """
    if target_set.arm == Arm.GOLD:
        texts = {row_id: [task.gold_target(answer)] for row_id, answer in gold.items()}
    else:
        texts = _answer_texts(target_set, task, judged)
    return [
        TargetRow(
            row_id=row.row_id,
            split=row.split,
            messages=task.target_messages(row, texts[row.row_id]),
        )
        for row in rows
        if row.row_id in texts
    ]


def check_rows_left(target_set: TargetSet, rows: SetRows) -> None:
    """Raises ``SpecError`` (reason ``NoRowsLeft``) where a split has nothing left to learn from."""
    for split in TRAINING_SPLITS:
        if not rows[split]:
            raise SpecError(
                f"curate: arm {target_set.arm} has no {split} rows left, got 0 usable answers; "
                "look at the rejected answers of this step, and mend the prompt, raise "
                "teacher.sampling.maxTokens or set structuredOutputs",
                reason=NO_ROWS_LEFT,
            )


def sum_up_targets(sets: Mapping[str, SetRows]) -> tuple[TargetSetSummary, ...]:
    """Counts of each set, and of the rows that all sets have."""
    common = {
        split: _intersection({row.row_id for row in rows[split]} for rows in sets.values())
        for split in TRAINING_SPLITS
    }
    return tuple(
        TargetSetSummary(
            name=name,
            num_train=len(rows[Split.TRAIN]),
            num_validation=len(rows[Split.VALIDATION]),
            num_train_common=len(common[Split.TRAIN]),
            num_validation_common=len(common[Split.VALIDATION]),
        )
        for name, rows in sets.items()
    )


def _answer_texts(
    target_set: TargetSet, task: Task, judged: Mapping[str, Sequence[Judged]]
) -> dict[str, list[str]]:
    variant = target_set.arm.variant
    if variant is None or variant.value not in judged:
        raise InvariantError(f"{target_set.name}: the teacher ran no such prompt")
    return {
        verdict.curated.row_id: [
            task.target_text(parsed, target_set.kind) for parsed in verdict.parsed
        ]
        for verdict in judged[variant.value]
        if verdict.curated.status is RowStatus.OK
    }


def _intersection(sets: Iterable[set[str]]) -> set[str]:
    every = list(sets)
    return set.intersection(*every) if every else set()
