"""How right each prompt variant's usable labels are, measured on gold. Pure.

Variants answer different rows, and the rows all of them answered are the easier ones: so each is
measured on its own rows and on the common ones.
"""

from collections.abc import Mapping, Sequence

from distillery.summaries import LabelQuality
from ray_jobs.curate.judging import Judged
from ray_jobs.records import GoldRow, PromptRow, RowStatus, Split
from ray_jobs.tasks.base import Task


def measure_quality(
    rows: Sequence[PromptRow],
    judged: Mapping[str, Sequence[Judged]],
    gold: Mapping[str, GoldRow],
    *,
    task: Task,
    split: Split,
) -> list[LabelQuality]:
    """One entry a variant; none where no row has gold.

    Args:
        judged: Variant to the verdicts on ``rows``, in their order.
        gold: By row id, each the one right answer.
    """
    right = {
        variant: _right_by_row(rows, verdicts, gold, task) for variant, verdicts in judged.items()
    }
    if not gold or not right:
        return []
    common = set.intersection(*(set(answers) for answers in right.values()))
    return [
        LabelQuality(
            split=split.value,
            variant=variant,
            num_rows=len(answers),
            num_right=sum(answers.values()),
            accuracy=_share(list(answers.values())),
            num_common_rows=len(common),
            num_common_right=sum(answers[row_id] for row_id in common),
            common_accuracy=_share([answers[row_id] for row_id in common]),
        )
        for variant, answers in right.items()
    ]


def _right_by_row(
    rows: Sequence[PromptRow],
    verdicts: Sequence[Judged],
    gold: Mapping[str, GoldRow],
    task: Task,
) -> dict[str, bool]:
    """Row id to whether its label is right, for usable rows with gold."""
    right = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict.curated.status is RowStatus.OK and row.row_id in gold:
            scored = task.score(verdict.parsed[0], row, gold[row.row_id])
            right[row.row_id] = scored.scores[task.primary_metric] == 1
    return right


def _share(values: Sequence[bool]) -> float:
    """0 of none is 0."""
    return sum(values) / len(values) if values else 0.0
