"""From opened sources to prepared rows: read, draw, map, check, remove duplicates, sum up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distillery.errors import Problem, SpecError
from distillery.spec.job import JobSpec
from distillery.summaries import DataSummary, SplitSummary
from distillery.tasks import Arm, TaskName
from ray_jobs.prepare.duplicates import DroppedRow, DropReason, Kept, drop_duplicates
from ray_jobs.prepare.near_duplicates import find_near_duplicates
from ray_jobs.prepare.problems import RowProblems
from ray_jobs.prepare.readers import UNREADABLE
from ray_jobs.prepare.rows import Draft, RowMaker
from ray_jobs.prepare.sampling import sample_rows
from ray_jobs.prepare.sources import OpenedSource
from ray_jobs.records import Split
from ray_jobs.tasks.base import Task

MAX_EXAMPLES = 5
TOO_FEW_ROWS = "TooFewRows"
NO_ROWS_LEFT = "NoRowsLeft"


@dataclass(frozen=True, kw_only=True)
class ReadSplit:
    """The drafts of a split's drawn rows, before any has left."""

    source: OpenedSource
    num_read: int
    drafts: list[Draft]


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """What prepare stores."""

    drafts: Mapping[Split, Sequence[Draft]]
    dropped: Sequence[DroppedRow]
    summary: DataSummary


def read_split(source: OpenedSource, spec: JobSpec, task: Task, *, scratch: Path) -> ReadSplit:
    """All drawn rows of a split as drafts.

    Raises:
        SpecError: ``BadRows`` with the first bad rows by file and line; ``DataUnreadable`` for an
            empty file; ``TooFewRows`` for train.
    """
    problems = RowProblems(source.name)
    sample = sample_rows(
        source.read(problems, scratch=scratch),
        max_rows=source.source.max_rows,
        seed=f"{spec.dataset.seed}/{source.split}",
    )
    maker = RowMaker(
        task=task,
        split=source.split,
        fields=source.source.fields,
        max_words=spec.dataset.max_words if spec.task == TaskName.SUMMARIZATION else None,
        needs_gold=_needs_gold(source.split, spec),
    )
    drafts = []
    for raw in sample.rows:
        try:
            drafts.append(maker.make(raw))
        except SpecError as error:
            problems.add(raw.number, error.message)
    problems.raise_if_any()
    if not drafts:
        raise SpecError(
            f"dataset.{source.split}: must have rows, got none in {problems.file}; "
            "check the file, or name another",
            reason=UNREADABLE,
        )
    minimum = spec.facts.min_train_rows
    if source.split is Split.TRAIN and len(drafts) < minimum:
        raise SpecError(
            f"dataset.train: must have at least {minimum} rows for {spec.task}, "
            f"got {len(drafts)}; add rows or raise maxRows",
            reason=TOO_FEW_ROWS,
        )
    return ReadSplit(source=source, num_read=sample.num_read, drafts=drafts)


def combine_splits(splits: Sequence[ReadSplit], spec: JobSpec) -> PreparedData:
    """The rows that stay, with every row that doesn't accounted for.

    Raises:
        SpecError: ``NoRowsLeft`` where a split is empty then.
    """
    kept = drop_duplicates(
        {split.source.split: split.drafts for split in splits}, has_one_gold=spec.facts.needs_gold
    )
    near = find_near_duplicates(kept.drafts)
    if spec.dataset.remove_near_duplicates:
        kept = _drop_near(kept, set(near[Split.TRAIN]))
    for split, rows in kept.drafts.items():
        if not rows:
            raise SpecError(
                f"dataset.{split}: no row is left, every one is a duplicate, contradicts itself or "
                "stands in another split, got 0; use data that differs",
                reason=NO_ROWS_LEFT,
            )
    summary = DataSummary(
        splits={
            split.source.split.value: _sum_up(split, kept, near[split.source.split], spec)
            for split in splits
        },
        max_words=spec.dataset.max_words,
        notes=tuple(_notes(kept, spec)),
    )
    return PreparedData(drafts=kept.drafts, dropped=kept.dropped, summary=summary)


def check_gold_arms(spec: JobSpec) -> None:
    """Raises ``SpecError`` where a student learns from gold that training rows don't name."""
    students = [student.name for student in spec.students if Arm.GOLD in student.arms]
    problems = [
        Problem(
            path=f"dataset.{split}.fields.gold",
            message=f"is missing, and {students[0]} learns from gold; name its column, or leave "
            "the Gold arm out",
        )
        for split, source in (
            (Split.TRAIN, spec.dataset.train),
            (Split.VALIDATION, spec.dataset.validation),
        )
        if students and not source.fields.gold
    ]
    if problems:
        raise SpecError.from_problems(problems)


def _needs_gold(split: Split, spec: JobSpec) -> bool:
    if split is Split.TEST:
        return spec.facts.needs_gold
    return any(Arm.GOLD in student.arms for student in spec.students)


def _drop_near(kept: Kept, numbers: set[int]) -> Kept:
    stay = [draft for draft in kept.drafts[Split.TRAIN] if draft.number not in numbers]
    left = [
        DroppedRow(split=Split.TRAIN, number=number, reason=DropReason.NEAR_DUPLICATE)
        for number in sorted(numbers)
    ]
    return Kept(drafts={**kept.drafts, Split.TRAIN: stay}, dropped=[*kept.dropped, *left])


def _sum_up(split: ReadSplit, kept: Kept, near: Sequence[int], spec: JobSpec) -> SplitSummary:
    name = split.source.split
    drafts = kept.drafts[name]
    dropped: dict[str, list[int]] = {}
    for row in kept.dropped:
        if row.split is name:
            dropped.setdefault(row.reason.value, []).append(row.number)
    classes = Counter(draft.gold.gold for draft in drafts if draft.gold is not None)
    return SplitSummary(
        uri=split.source.source.uri,
        digest=split.source.digest,
        num_read=split.num_read,
        num_sampled=len(split.drafts),
        num_kept=len(drafts),
        num_with_gold=classes.total(),
        mean_chars=round(
            sum(len(each.content) for draft in drafts for each in draft.prompt.messages)
            / len(drafts),
            1,
        ),
        num_groups=len({draft.prompt.group for draft in drafts}),
        num_rows_cut=sum(draft.prompt.num_words_cut > 0 for draft in drafts),
        num_words_cut=sum(draft.prompt.num_words_cut for draft in drafts),
        dropped={reason: len(numbers) for reason, numbers in sorted(dropped.items())},
        examples={
            reason: tuple(numbers[:MAX_EXAMPLES]) for reason, numbers in sorted(dropped.items())
        },
        num_near_duplicates=len(near),
        near_duplicate_examples=tuple(near[:MAX_EXAMPLES]),
        gold_classes=dict(sorted(classes.items())) if spec.labels else {},
    )


def _notes(kept: Kept, spec: JobSpec) -> list[str]:
    """What a reader of the figures must know."""
    minimum = spec.facts.min_train_rows
    notes = [
        f"{split}: only {len(kept.drafts[split])} rows are left; {minimum} or more are better"
        for split in (Split.TRAIN, Split.VALIDATION)
        if len(kept.drafts[split]) < minimum
    ]
    if not spec.dataset.validation.fields.gold:
        notes.append(
            "validation has no gold: its loss measures agreement with the teacher, not accuracy"
        )
    return notes
