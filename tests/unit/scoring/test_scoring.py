"""Every answered turn ends as one prediction; what is missing or too much is our bug."""

import pytest

from distillery.errors import InvariantError
from distillery.tasks import PromptVariant, TargetKind, TaskName
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import AnswerRow, GoldRow, PredictionRow, RowStatus, Split
from ray_jobs.scoring import (
    GivenAnswer,
    Truth,
    score_answers,
    teacher_answers,
    teacher_references,
)
from tests.unit.tasks.task_builders import build_row, build_task

ROWS = [build_row(row_id="r1"), build_row(row_id="r2")]
GOLD = {name: GoldRow(row_id=name, gold="7") for name in ("r1", "r2")}
TRUTH = Truth(gold=GOLD, references={})
NO_TRUTH = Truth(gold={}, references={})


def _given(text: str, finish: FinishReason = FinishReason.STOP) -> GivenAnswer:
    return GivenAnswer(text=text, finish_reason=finish, num_prompt_tokens=5, num_tokens=2)


def _answer_row(row_id: str = "r1", **changes: object) -> AnswerRow:
    fields: dict[str, object] = {
        "row_id": row_id,
        "split": Split.TEST,
        "variant": "Vanilla",
        "sample": 0,
        "turn": 0,
        "num_turns": 1,
        "key": "k",
        "status": RowStatus.OK,
        "text": "7",
        "finish_reason": "stop",
        "num_prompt_tokens": 5,
        "num_tokens": 2,
    }
    return AnswerRow(**{**fields, **changes})  # type: ignore[arg-type]


def test_each_row_ends_as_one_prediction_in_the_rows_order() -> None:
    answers = {("r2", 0): _given("8"), ("r1", 0): _given("7.0")}

    predictions = score_answers(
        build_task(TaskName.MATH), ROWS, answers, truth=TRUTH, form=TargetKind.ANSWER_ONLY
    )

    common = {"finish_reason": "stop", "num_prompt_tokens": 5, "num_tokens": 2}
    assert predictions == [
        PredictionRow(
            row_id="r1",
            group="r1",
            text="7.0",
            status=RowStatus.OK,
            answer="7",
            scores=(("exact_match", 1.0),),
            **common,  # type: ignore[arg-type]
        ),
        PredictionRow(
            row_id="r2",
            group="r2",
            text="8",
            status=RowStatus.OK,
            answer="8",
            scores=(("exact_match", 0.0),),
            **common,  # type: ignore[arg-type]
        ),
    ]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TargetKind.ANSWER_ONLY, "7"),
        (PromptVariant.VANILLA, "7"),
        (TargetKind.REASON_THEN_ANSWER, '{"reason": "r", "answer": "7"}'),
        (PromptVariant.CHAIN_OF_THOUGHT, '{"reason": "r", "answer": 7}'),
    ],
)
def test_an_answer_is_read_in_the_form_it_was_asked_for(
    form: TargetKind | PromptVariant, text: str
) -> None:
    (prediction,) = score_answers(
        build_task(TaskName.MATH), ROWS[:1], {("r1", 0): _given(text)}, truth=TRUTH, form=form
    )

    assert (prediction.status, prediction.answer) == (RowStatus.OK, "7")


def test_a_cut_answer_is_truncated_and_wrong() -> None:
    answers = {("r1", 0): _given("7", FinishReason.LENGTH)}

    (prediction,) = score_answers(
        build_task(TaskName.MATH), ROWS[:1], answers, truth=TRUTH, form=TargetKind.ANSWER_ONLY
    )

    assert prediction.status is RowStatus.TRUNCATED
    assert prediction.scores == (("exact_match", 0.0),)


def test_each_turn_of_a_dialogue_is_held_against_the_teachers_turn() -> None:
    row = build_row("u1", "a1", "u2", "a2", row_id="d")
    answers = {("d", 0): _given("the cat"), ("d", 1): _given("a dog")}
    truth = Truth(gold={}, references={("d", 0): "the cat", ("d", 1): "the cat"})

    predictions = score_answers(
        build_task(TaskName.CONVERSATION),
        [row],
        answers,
        truth=truth,
        form=TargetKind.ANSWER_ONLY,
    )

    assert [(p.turn, dict(p.scores)["teacher_agreement"]) for p in predictions] == [
        (0, 1.0),
        (1, 0.0),
    ]


@pytest.mark.parametrize(
    ("rows", "answers", "truth", "want"),
    [
        pytest.param(
            ROWS,
            {("r1", 0): _given("7")},
            TRUTH,
            "^r2 turn 0: no answer, got 1 missing in all$",
            id="missing",
        ),
        pytest.param(
            ROWS[:1],
            {("r1", 0): _given("7"), ("r1", 1): _given("7")},
            TRUTH,
            "^r1 turn 1: an answer to no row, got 1 such$",
            id="foreign",
        ),
        pytest.param(
            [ROWS[0], ROWS[0]],
            {("r1", 0): _given("7")},
            TRUTH,
            "^rows: a row id stands twice, got 1 doubled$",
            id="doubled",
        ),
        pytest.param(
            ROWS[:1],
            {("r1", 0): _given("7")},
            NO_TRUTH,
            "^r1: MATH can't be scored without gold$",
            id="no_gold",
        ),
    ],
)
def test_what_does_not_add_up_is_our_bug(
    rows: list[object], answers: dict[tuple[str, int], GivenAnswer], truth: Truth, want: str
) -> None:
    with pytest.raises(InvariantError, match=want):
        score_answers(
            build_task(TaskName.MATH),
            rows,  # type: ignore[arg-type]
            answers,
            truth=truth,
            form=TargetKind.ANSWER_ONLY,
        )


def test_the_teachers_answers_are_those_of_one_prompt_and_sample() -> None:
    rows = [
        _answer_row(),
        _answer_row(variant="ChainOfThought", text="{}"),
        _answer_row(sample=1, text="8"),
        _answer_row("r2", status=RowStatus.ERROR, text="", finish_reason=""),
    ]

    assert teacher_answers(rows, variant=PromptVariant.VANILLA) == {
        ("r1", 0): _given("7"),
        ("r2", 0): _given("", FinishReason.ERROR),
    }


@pytest.mark.parametrize(
    ("status", "finish", "want"),
    [
        (RowStatus.TRUNCATED, "length", FinishReason.LENGTH),
        (RowStatus.TRUNCATED, "context", FinishReason.CONTEXT),
        (RowStatus.TRUNCATED, "stop", FinishReason.LENGTH),
        (RowStatus.OK, "stop", FinishReason.STOP),
    ],
)
def test_an_answer_over_this_jobs_budget_counts_as_cut(
    status: RowStatus, finish: str, want: FinishReason
) -> None:
    rows = [_answer_row(status=status, finish_reason=finish)]

    (given,) = teacher_answers(rows, variant=PromptVariant.VANILLA).values()

    assert given.finish_reason is want


def test_two_answers_to_one_turn_are_our_bug() -> None:
    with pytest.raises(InvariantError, match=r"^r1 turn 0: two answers to Vanilla sample 0$"):
        teacher_answers([_answer_row(), _answer_row()], variant=PromptVariant.VANILLA)


def test_references_are_the_teachers_whole_vanilla_replies() -> None:
    rows = [
        _answer_row(text="one"),
        _answer_row(turn=1, text="cut", status=RowStatus.TRUNCATED),
        _answer_row("r2", variant="ChainOfThought", text="other"),
    ]

    assert teacher_references(rows) == {("r1", 0): "one"}
