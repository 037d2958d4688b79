"""Which rows leave because the same words stand elsewhere (METHOD, pitfall 8). Pure.

In this order, each row for its first reason:

1. ``conflicting_gold``: equal rows of one split whose gold differs all leave: nobody knows which is
   right. Only for tasks whose gold is one answer; a second reference summary is no conflict.
2. ``duplicate``: of equal rows of one split the first stays (the first with gold, if any has it).
3. ``overlap_test``, ``overlap_validation``: a train row that stands in test or validation leaves,
   and a validation row that stands in test; never the other way round. What stands there is judged
   before anything was removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ray_jobs.prepare.rows import Draft
from ray_jobs.records import Split


class DropReason(StrEnum):
    """Why a row left before the teacher saw it."""

    CONFLICTING_GOLD = "conflicting_gold"
    DUPLICATE = "duplicate"
    OVERLAP_TEST = "overlap_test"
    OVERLAP_VALIDATION = "overlap_validation"
    NEAR_DUPLICATE = "near_duplicate"


@dataclass(frozen=True, kw_only=True)
class DroppedRow:
    """A row that left: its line or row in the split's file, and why."""

    split: Split
    number: int
    reason: DropReason


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The rows that stay, in order, by split; and those that don't."""

    drafts: Mapping[Split, list[Draft]]
    dropped: list[DroppedRow]


_STANDS_ELSEWHERE: dict[Split, tuple[tuple[Split, DropReason], ...]] = {
    Split.TRAIN: (
        (Split.TEST, DropReason.OVERLAP_TEST),
        (Split.VALIDATION, DropReason.OVERLAP_VALIDATION),
    ),
    Split.VALIDATION: ((Split.TEST, DropReason.OVERLAP_TEST),),
    Split.TEST: (),
}


def drop_duplicates(drafts: Mapping[Split, Sequence[Draft]], *, has_one_gold: bool) -> Kept:
    """Removes exact duplicates.

    Args:
        has_one_gold: Gold is the one right answer, so that two of them are a conflict.
    """
    keys = {split: {draft.key for draft in rows} for split, rows in drafts.items()}
    kept: dict[Split, list[Draft]] = {}
    dropped: list[DroppedRow] = []
    for split, rows in drafts.items():
        within = _judge_within(rows, has_one_gold=has_one_gold)
        kept[split] = []
        for draft in rows:
            reason = within.get(draft.number) or next(
                (why for other, why in _STANDS_ELSEWHERE[split] if draft.key in keys[other]), None
            )
            if reason is None:
                kept[split].append(draft)
            else:
                dropped.append(DroppedRow(split=split, number=draft.number, reason=reason))
    return Kept(drafts=kept, dropped=dropped)


def _judge_within(rows: Sequence[Draft], *, has_one_gold: bool) -> dict[int, DropReason]:
    """Row number to the reason it leaves its own split."""
    groups: dict[str, list[Draft]] = {}
    for draft in rows:
        groups.setdefault(draft.key, []).append(draft)
    reasons: dict[int, DropReason] = {}
    for group in groups.values():
        answers = {draft.gold.gold for draft in group if draft.gold is not None}
        if has_one_gold and len(answers) > 1:
            reasons.update({draft.number: DropReason.CONFLICTING_GOLD for draft in group})
            continue
        stays = next((draft for draft in group if draft.gold is not None), group[0])
        reasons.update(
            {draft.number: DropReason.DUPLICATE for draft in group if draft is not stays}
        )
    return reasons
