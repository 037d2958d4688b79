"""All of the teacher's answers to one row, for one prompt variant, become one verdict. Pure.

Answers are joined to rows by row id, never by text. A dialogue is usable when every turn is: its
first bad turn gives the status. Of several samples the first usable one is taken; where none is,
the first sample says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillery.errors import InvariantError
from distillery.tasks import PromptVariant
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import AnswerRow, PromptRow, RejectedRow, RowStatus, Split
from ray_jobs.tasks.base import Parsed, Task

_NO_ANSWER = "no answer"
_CUT = "cut before its end"


@dataclass(frozen=True, kw_only=True)
class CuratedRow:
    """How a row ended under one variant. ``answers`` are the normalised answers of all turns and
    ``reasons`` the teacher's chains (empty unless OK); ``sample`` is the one taken, or judged."""

    row_id: str
    split: Split
    variant: str
    status: RowStatus
    detail: str = ""
    sample: int = 0
    answers: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A row's verdict, what its targets are made of, and the answer that spoilt it."""

    curated: CuratedRow
    parsed: tuple[Parsed, ...] = ()
    rejected: RejectedRow | None = None


def judge_rows(
    rows: Sequence[PromptRow],
    answers: Sequence[AnswerRow],
    *,
    task: Task,
    variant: PromptVariant,
) -> list[Judged]:
    """One verdict a row, in the order of ``rows``; a row nobody answered is an ERROR.

    Raises:
        InvariantError: An answer to no row, or two to the same row, sample and turn.
    """
    by_row: dict[str, dict[int, dict[int, AnswerRow]]] = {row.row_id: {} for row in rows}
    for answer in answers:
        if answer.row_id not in by_row:
            raise InvariantError(f"{answer.row_id}: {variant} has an answer to no prepared row")
        turns = by_row[answer.row_id].setdefault(answer.sample, {})
        if answer.turn in turns:
            raise InvariantError(
                f"{answer.row_id}: {variant} sample {answer.sample} turn {answer.turn} has two "
                "answers"
            )
        turns[answer.turn] = answer
    return [_judge_row(row, by_row[row.row_id], task=task, variant=variant) for row in rows]


def _judge_row(
    row: PromptRow,
    samples: Mapping[int, Mapping[int, AnswerRow]],
    *,
    task: Task,
    variant: PromptVariant,
) -> Judged:
    first: Judged | None = None
    for sample in sorted(samples) or [0]:
        judged = _judge_sample(row, samples.get(sample, {}), sample, task=task, variant=variant)
        if judged.curated.status is RowStatus.OK:
            return judged
        first = first or judged
    if first is None:
        raise InvariantError(f"{row.row_id}: was judged on no sample")
    return first


def _judge_sample(
    row: PromptRow,
    turns: Mapping[int, AnswerRow],
    sample: int,
    *,
    task: Task,
    variant: PromptVariant,
) -> Judged:
    read: list[Parsed] = []
    for turn in range(task.num_turns(row)):
        answer = turns.get(turn)
        parsed = _read(answer, row, task=task, variant=variant)
        if parsed.status is not RowStatus.OK:
            return _reject(row, parsed, variant, sample=sample, turn=turn, answer=answer)
        read.append(parsed)
    curated = CuratedRow(
        row_id=row.row_id,
        split=row.split,
        variant=variant.value,
        status=RowStatus.OK,
        sample=sample,
        answers=tuple(parsed.answer for parsed in read),
        reasons=tuple(parsed.reason for parsed in read),
    )
    return Judged(curated=curated, parsed=tuple(read))


def _read(
    answer: AnswerRow | None, row: PromptRow, *, task: Task, variant: PromptVariant
) -> Parsed:
    if answer is None:
        return Parsed(status=RowStatus.ERROR, detail=_NO_ANSWER)
    if answer.status is RowStatus.ERROR:
        return Parsed(status=RowStatus.ERROR, detail=answer.reason or _NO_ANSWER)
    if answer.status is RowStatus.TRUNCATED:
        return Parsed(status=RowStatus.TRUNCATED, detail=answer.reason or _CUT)
    return task.parse_teacher(answer.text, row, variant, FinishReason(answer.finish_reason))


def _reject(
    row: PromptRow,
    parsed: Parsed,
    variant: PromptVariant,
    *,
    sample: int,
    turn: int,
    answer: AnswerRow | None,
) -> Judged:
    curated = CuratedRow(
        row_id=row.row_id,
        split=row.split,
        variant=variant.value,
        status=parsed.status,
        detail=parsed.detail,
        sample=sample,
    )
    rejected = RejectedRow(
        row_id=row.row_id,
        split=row.split,
        variant=variant.value,
        sample=sample,
        turn=turn,
        status=parsed.status,
        detail=parsed.detail,
        text=answer.text if answer is not None else "",
    )
    return Judged(curated=curated, rejected=rejected)
