"""Answers to verdicts: joins by id, statuses, samples, dialogues."""

from typing import Any

import pytest

from distillery.errors import InvariantError
from distillery.tasks import PromptVariant, TaskName
from ray_jobs.curate.judging import Judged, judge_rows
from ray_jobs.records import AnswerRow, Message, PromptRow, RowStatus
from tests.rows import make_answer, make_any_task, make_prompt_row

VANILLA = PromptVariant.VANILLA
DIALOGUE = (
    Message(role="user", content="hi"),
    Message(role="assistant", content="recorded"),
    Message(role="user", content="more"),
)


def judge(
    rows: list[PromptRow], answers: list[AnswerRow], *, task: TaskName = TaskName.MATH
) -> list[Judged]:
    return judge_rows(rows, answers, task=make_any_task(task), variant=VANILLA)


def judge_one(*answers: AnswerRow) -> Judged:
    (judged,) = judge([make_prompt_row()], list(answers))
    return judged


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({"text": "2"}, RowStatus.OK, id="ok"),
        pytest.param({"text": "two or so"}, RowStatus.UNPARSABLE, id="unparsable"),
        pytest.param({"finish_reason": "length"}, RowStatus.TRUNCATED, id="cut"),
        pytest.param({"status": RowStatus.TRUNCATED}, RowStatus.TRUNCATED, id="said to be cut"),
        pytest.param(
            {"status": RowStatus.ERROR, "finish_reason": "", "reason": "quarantined"},
            RowStatus.ERROR,
            id="error",
        ),
    ],
)
def test_every_answer_ends_with_a_status(changes: dict[str, Any], want: RowStatus) -> None:
    judged = judge_one(make_answer(**changes))

    assert judged.curated.status is want
    assert (judged.rejected is None) == (want is RowStatus.OK)


def test_row_without_any_answer_is_an_error() -> None:
    judged = judge_one()

    assert judged.curated.status is RowStatus.ERROR
    assert judged.curated.detail == "no answer"


def test_label_outside_the_rows_labels_is_told_apart() -> None:
    row = make_prompt_row(labels=("A", "B"))

    (judged,) = judge([row], [make_answer(text="C")], task=TaskName.NLU_QA)

    assert judged.curated.status in (RowStatus.INVALID_LABEL, RowStatus.UNPARSABLE)


def test_answers_to_equal_prompts_are_joined_by_id() -> None:
    rows = [make_prompt_row("a"), make_prompt_row("b")]

    judged = judge(rows, [make_answer("b", "7"), make_answer("a", "5")])

    assert [(one.curated.row_id, one.curated.answers) for one in judged] == [
        ("a", ("5",)),
        ("b", ("7",)),
    ]


def test_first_usable_sample_is_taken() -> None:
    judged = judge_one(
        make_answer(text="9", sample=2),
        make_answer(text="?", sample=0),
        make_answer(text="8", sample=1),
    )

    assert (judged.curated.sample, judged.curated.answers) == (1, ("8",))


def test_first_sample_says_why_none_is_usable() -> None:
    judged = judge_one(make_answer(text="?"), make_answer(finish_reason="length", sample=1))

    assert (judged.curated.sample, judged.curated.status) == (0, RowStatus.UNPARSABLE)
    assert judged.rejected is not None
    assert judged.rejected.text == "?"


@pytest.mark.parametrize(
    ("second", "want"),
    [
        pytest.param({"text": "bye"}, RowStatus.OK, id="both good"),
        pytest.param({"finish_reason": "length"}, RowStatus.TRUNCATED, id="second cut"),
        pytest.param(None, RowStatus.ERROR, id="second missing"),
    ],
)
def test_dialogue_is_usable_when_every_turn_is(
    second: dict[str, Any] | None, want: RowStatus
) -> None:
    row = make_prompt_row(messages=DIALOGUE)
    answers = [make_answer(text="hello", num_turns=2)]
    if second is not None:
        answers.append(make_answer(turn=1, num_turns=2, **{"text": "x", **second}))

    (judged,) = judge([row], answers, task=TaskName.CONVERSATION)

    assert judged.curated.status is want
    assert judged.curated.answers == (("hello", "bye") if want is RowStatus.OK else ())


def test_two_answers_to_one_turn_are_our_bug() -> None:
    with pytest.raises(InvariantError, match="row: Vanilla sample 0 turn 0 has two answers"):
        judge_one(make_answer(), make_answer())


def test_answer_to_no_row_is_our_bug() -> None:
    with pytest.raises(InvariantError, match="other: Vanilla has an answer to no prepared row"):
        judge_one(make_answer("other"))
