"""Answers to prediction rows: every turn of every row ends as exactly one of them.

Used by evaluate for the students' answers and by publish for the teacher's reference rows. How an
answer is read and scored is the task's; what figures come of many rows is ``statistics.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillery.errors import InvariantError
from distillery.tasks import PromptVariant, TargetKind
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import AnswerRow, GoldRow, PredictionRow, PromptRow, RowStatus
from ray_jobs.tasks.base import Parsed, Task

TurnKey = tuple[str, int]
"""(row id, turn), the turn counted from 0."""


@dataclass(frozen=True, kw_only=True)
class GivenAnswer:
    """A model's raw answer to one turn, and what it took."""

    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int = 0
    num_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What answers are held against: gold by row id, and the teacher's replies by turn
    (CONVERSATION alone uses them). Either may be empty where the task needs none."""

    gold: Mapping[str, GoldRow]
    references: Mapping[TurnKey, str]


def score_answers(
    task: Task,
    rows: Sequence[PromptRow],
    answers: Mapping[TurnKey, GivenAnswer],
    *,
    truth: Truth,
    form: TargetKind | PromptVariant,
) -> list[PredictionRow]:
    """One prediction a turn of ``rows``, in their order.

    Args:
        rows: Each row id once.
        answers: Exactly one for each turn of each row.
        form: What the answer was asked to look like: a ``TargetKind`` for a trained student, a
            ``PromptVariant`` for whoever got that prompt (teacher, untrained base).

    Raises:
        InvariantError: A turn without an answer, an answer without a turn, a row id twice, gold
            missing where the task needs it.
    """
    wanted = [(row, turn) for row in rows for turn in range(task.num_turns(row))]
    keys = {(row.row_id, turn) for row, turn in wanted}
    if len(keys) < len(wanted):
        raise InvariantError(f"rows: a row id stands twice, got {len(wanted) - len(keys)} doubled")
    if missing := keys - answers.keys():
        raise InvariantError(f"{_name(min(missing))}: no answer, got {len(missing)} missing in all")
    if foreign := answers.keys() - keys:
        raise InvariantError(f"{_name(min(foreign))}: an answer to no row, got {len(foreign)} such")
    predictions = []
    for row, turn in wanted:
        answer = answers[(row.row_id, turn)]
        parsed = _parse(task, row, answer, form)
        predictions.append(_predict(task, row, turn, answer=answer, parsed=parsed, truth=truth))
    return predictions


def teacher_answers(
    answers: Sequence[AnswerRow], *, variant: PromptVariant, sample: int = 0
) -> dict[TurnKey, GivenAnswer]:
    """The teacher's answers to one prompt variant, by turn; one it never gave ends as ERROR.

    Raises:
        InvariantError: Two answers to the same turn.
    """
    chosen: dict[TurnKey, GivenAnswer] = {}
    for row in answers:
        if row.variant != variant or row.sample != sample:
            continue
        key = (row.row_id, row.turn)
        if key in chosen:
            raise InvariantError(f"{_name(key)}: two answers to {variant} sample {sample}")
        chosen[key] = GivenAnswer(
            text=row.text,
            finish_reason=_finish_of(row),
            num_prompt_tokens=row.num_prompt_tokens,
            num_tokens=row.num_tokens,
        )
    return chosen


def teacher_references(
    answers: Sequence[AnswerRow], *, variant: PromptVariant = PromptVariant.VANILLA
) -> dict[TurnKey, str]:
    """The teacher's whole replies by turn; turns it failed or was cut at are left out."""
    return {
        (row.row_id, row.turn): row.text
        for row in answers
        if row.variant == variant and row.sample == 0 and row.status is RowStatus.OK
    }


def _parse(
    task: Task, row: PromptRow, answer: GivenAnswer, form: TargetKind | PromptVariant
) -> Parsed:
    if isinstance(form, PromptVariant):
        return task.parse_teacher(answer.text, row, form, answer.finish_reason)
    return task.parse_student(answer.text, row, form, answer.finish_reason)


def _predict(
    task: Task, row: PromptRow, turn: int, *, answer: GivenAnswer, parsed: Parsed, truth: Truth
) -> PredictionRow:
    reference = truth.references.get((row.row_id, turn), "")
    scored = task.score(parsed, row, truth.gold.get(row.row_id), reference)
    if task.primary_metric not in scored.scores:
        raise InvariantError(f"{row.row_id}: no {task.primary_metric} among the row's scores")
    return PredictionRow(
        row_id=row.row_id,
        turn=turn,
        group=row.group or row.row_id,
        text=answer.text,
        status=parsed.status,
        answer=parsed.answer,
        finish_reason=answer.finish_reason.value,
        num_prompt_tokens=answer.num_prompt_tokens,
        num_tokens=answer.num_tokens,
        scores=tuple(sorted(scored.scores.items())),
    )


def _finish_of(row: AnswerRow) -> FinishReason:
    if row.status is RowStatus.ERROR:
        return FinishReason.ERROR
    finish = FinishReason(row.finish_reason)
    if row.status is RowStatus.TRUNCATED and finish is FinishReason.STOP:
        # Reused from a longer budget: it ended by itself, but beyond this job's.
        return FinishReason.LENGTH
    return finish


def _name(key: TurnKey) -> str:
    return f"{key[0]} turn {key[1]}"
