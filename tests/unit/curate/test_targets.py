"""Target sets: vanilla prompt put back, arms counted on own and on common rows."""

from collections.abc import Sequence

import pytest

from distillery.errors import InvariantError, SpecError
from distillery.stage_configs import TargetSet
from distillery.tasks import Arm, PromptVariant, TargetKind, TaskName
from ray_jobs.curate.judging import Judged, judge_rows
from ray_jobs.curate.targets import build_targets, check_rows_left, sum_up_targets
from ray_jobs.records import AnswerRow, GoldRow, Message, PromptRow, Split, TargetRow
from tests.rows import make_answer, make_any_task, make_prompt_row

COT = PromptVariant.CHAIN_OF_THOUGHT
ROWS = [make_prompt_row("a"), make_prompt_row("b")]
CHAIN = '{"reason": "one and one", "answer": "2"}'


def judge(
    answers: Sequence[AnswerRow],
    *,
    variant: PromptVariant = COT,
    rows: Sequence[PromptRow] = ROWS,
    task: TaskName = TaskName.MATH,
) -> dict[str, Sequence[Judged]]:
    judged = judge_rows(rows, answers, task=make_any_task(task), variant=variant)
    return {variant.value: judged}


def build(
    arm: Arm,
    judged: dict[str, Sequence[Judged]],
    *,
    kind: TargetKind = TargetKind.ANSWER_ONLY,
    gold: Sequence[GoldRow] = (),
) -> list[TargetRow]:
    return build_targets(
        ROWS,
        TargetSet(arm=arm, kind=kind),
        task=make_any_task(),
        judged=judged,
        gold={answer.row_id: answer for answer in gold},
    )


def test_chain_is_thrown_away_and_the_vanilla_system_prompt_put_back() -> None:
    targets = build(Arm.CHAIN_OF_THOUGHT, judge([make_answer("b", CHAIN)]))

    assert [(row.row_id, row.messages) for row in targets] == [
        ("b", (*ROWS[1].messages, Message(role="assistant", content="2")))
    ]


def test_reason_then_answer_keeps_the_chain() -> None:
    (target,) = build(
        Arm.CHAIN_OF_THOUGHT,
        judge([make_answer("a", CHAIN)]),
        kind=TargetKind.REASON_THEN_ANSWER,
    )

    assert target.messages[0].content == "vanilla system"
    assert "one and one" in target.messages[-1].content


def test_gold_arm_learns_from_gold_whatever_the_teacher_said() -> None:
    targets = build(Arm.GOLD, judge([]), gold=[GoldRow(row_id="a", gold="41")])

    assert [(row.row_id, row.messages[-1].content) for row in targets] == [("a", "41")]


def test_every_turn_of_a_dialogue_is_the_teachers() -> None:
    row = make_prompt_row(
        messages=(
            Message(role="system", content="s"),
            Message(role="user", content="hi"),
            Message(role="assistant", content="recorded"),
            Message(role="user", content="more"),
        )
    )
    answers = [make_answer(text="one", num_turns=2), make_answer(text="two", turn=1, num_turns=2)]
    task = TaskName.CONVERSATION

    (target,) = build_targets(
        [row],
        TargetSet(arm=Arm.VANILLA, kind=TargetKind.ANSWER_ONLY),
        task=make_any_task(task),
        judged=judge(answers, variant=PromptVariant.VANILLA, rows=[row], task=task),
        gold={},
    )

    assert [message.content for message in target.messages] == ["s", "hi", "one", "more", "two"]


def test_arm_whose_prompt_was_not_run_is_our_bug() -> None:
    with pytest.raises(InvariantError, match="Vanilla-AnswerOnly: the teacher ran no such prompt"):
        build(Arm.VANILLA, judge([]))


def test_sets_are_counted_on_their_own_and_on_common_rows() -> None:
    def rows(*ids: str) -> list[TargetRow]:
        return [TargetRow(row_id=name, split=Split.TRAIN, messages=()) for name in ids]

    one, two = sum_up_targets(
        {
            "one": {Split.TRAIN: rows("a", "b", "c"), Split.VALIDATION: rows("v")},
            "two": {Split.TRAIN: rows("b", "c", "d", "e"), Split.VALIDATION: rows("w")},
        }
    )

    assert (one.num_train, one.num_train_common, two.num_train) == (3, 2, 4)
    assert (one.num_validation, two.num_validation_common) == (1, 0)


@pytest.mark.parametrize("empty", [Split.TRAIN, Split.VALIDATION])
def test_set_without_rows_is_refused(empty: Split) -> None:
    row = TargetRow(row_id="a", split=Split.TRAIN, messages=())
    rows = {split: [] if split is empty else [row] for split in (Split.TRAIN, Split.VALIDATION)}

    with pytest.raises(SpecError) as caught:
        check_rows_left(TargetSet(arm=Arm.VANILLA, kind=TargetKind.ANSWER_ONLY), rows)

    assert caught.value.reason == "NoRowsLeft"
    assert caught.value.message == (
        f"curate: arm Vanilla has no {empty} rows left, got 0 usable answers; look at the rejected "
        "answers of this step, and mend the prompt, raise teacher.sampling.maxTokens or set "
        "structuredOutputs"
    )
    assert len(caught.value.message) <= 256
