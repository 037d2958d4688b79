"""The desk: what the store serves, what must be asked, how every ask ends."""

from collections.abc import Sequence

from ray_jobs.answers.index import AnswerIndex
from ray_jobs.answers.reuse import StoredAnswer
from ray_jobs.engines.base import FinishReason
from ray_jobs.generate.desk import EARLIER_TURN, Desk
from ray_jobs.generate.work import Ask, WorkItem
from ray_jobs.records import AnswerRow, RowStatus
from tests.generate_doubles import make_asks, make_prompt_row, write_plainly
from tests.stored_answers import make_answer


def make_desk(index: AnswerIndex | None = None, *, max_tokens: int = 16) -> Desk:
    return Desk(
        index=AnswerIndex() if index is None else index,
        write=write_plainly,
        max_tokens=max_tokens,
        window=256,
    )


def answers_to(items: Sequence[WorkItem], text: str = "8") -> list[StoredAnswer]:
    return [make_answer(item.key, text=text) for item in items]


def ended_rows(desk: Desk) -> list[AnswerRow]:
    return [row for _, rows in desk.take_ended() for row in rows]


def rows_asks(count: int, **options: int) -> list[Ask]:
    return make_asks([make_prompt_row(f"r{number}") for number in range(count)], **options)


def test_an_empty_store_serves_nothing_and_answers_end_their_asks() -> None:
    desk = make_desk()
    items = desk.open(rows_asks(3))
    assert (len(items), desk.num_waiting, ended_rows(desk)) == (3, 3, [])
    assert desk.answer("s1", answers_to(items)) == []
    rows = ended_rows(desk)
    assert {row.row_id for row in rows} == {"r0", "r1", "r2"}
    assert {(row.status, row.text, row.reused) for row in rows} == {(RowStatus.OK, "8", False)}
    assert desk.num_waiting == 0


def test_a_second_job_with_the_same_teacher_asks_nothing() -> None:
    index = AnswerIndex()
    first = make_desk(index)
    first.answer("s1", answers_to(first.open(rows_asks(5))))
    second = make_desk(index)
    assert second.open(rows_asks(5)) == []
    assert [row.reused for row in ended_rows(second)] == [True] * 5


def test_raising_the_limit_asks_again_just_what_was_cut() -> None:
    index = AnswerIndex()
    desk = make_desk(index, max_tokens=16)
    items = desk.open(rows_asks(4))
    cut = make_answer(items[2].key, finish_reason=FinishReason.LENGTH, num_tokens=16)
    desk.answer("s1", [*answers_to([items[0], items[1], items[3]]), cut])
    raised = make_desk(index, max_tokens=32)
    assert [item.key for item in raised.open(rows_asks(4))] == [items[2].key]
    lowered = make_desk(index, max_tokens=8)
    assert lowered.open(rows_asks(4)) == []
    assert {row.status for row in ended_rows(lowered)} == {RowStatus.TRUNCATED}


def test_an_answer_longer_than_the_limit_counts_as_cut_at_it() -> None:
    index = AnswerIndex()
    desk = make_desk(index)
    desk.answer("s1", answers_to(desk.open(rows_asks(1))))
    lowered = make_desk(index, max_tokens=8)
    lowered.open(rows_asks(1))
    (row,) = ended_rows(lowered)
    assert (row.status, row.finish_reason, row.num_tokens) == (RowStatus.TRUNCATED, "length", 8)


def test_rows_with_the_same_prompt_are_asked_once_and_all_answered() -> None:
    desk = make_desk()
    rows = [make_prompt_row(f"r{number}", text="the same") for number in range(3)]
    items = desk.open(make_asks(rows))
    assert len(items) == 1
    desk.answer("s1", answers_to(items))
    ended = ended_rows(desk)
    assert {row.row_id for row in ended} == {"r0", "r1", "r2"}
    assert sorted(row.reused for row in ended) == [False, True, True]


def test_samples_of_one_prompt_are_asked_apart() -> None:
    assert len(make_desk().open(rows_asks(2, num_samples=3))) == 6


def test_an_answer_that_comes_twice_makes_no_second_row() -> None:
    desk = make_desk()
    items = desk.open(rows_asks(1))
    desk.answer("s1", answers_to(items))
    desk.answer("s2", answers_to(items, text="other"))
    assert [row.text for row in ended_rows(desk)] == ["8"]


def test_failure_ends_every_row_of_its_key_with_the_reason() -> None:
    desk = make_desk()
    rows = [make_prompt_row(f"r{number}", text="the same") for number in range(2)]
    (item,) = desk.open(make_asks(rows))
    desk.fail(item.key, "prompt too long")
    assert [(row.status, row.reason) for row in ended_rows(desk)] == [
        (RowStatus.ERROR, "prompt too long")
    ] * 2


def test_dialogue_is_asked_turn_by_turn_on_the_teachers_own_words() -> None:
    desk = make_desk()
    asks = make_asks([make_prompt_row("d", turns=3)], turns=3)
    first = desk.open(asks)
    second = desk.answer("s1", answers_to(first, text="mine"))
    assert "".join(map(chr, second[0].prompt_ids)) == "question d\nmine\nand 1?"
    third = desk.answer("s2", answers_to(second, text="too"))
    assert "".join(map(chr, third[0].prompt_ids)) == "question d\nmine\nand 1?\ntoo\nand 2?"
    assert desk.take_ended() == []
    assert desk.answer("s3", answers_to(third, text="end")) == []
    rows = ended_rows(desk)
    assert [(row.turn, row.num_turns, row.text) for row in rows] == [
        (0, 3, "mine"),
        (1, 3, "too"),
        (2, 3, "end"),
    ]


def test_finished_turns_of_a_dialogue_are_not_asked_again_after_a_restart() -> None:
    index = AnswerIndex()
    asks = make_asks([make_prompt_row("d", turns=3)], turns=3)
    desk = make_desk(index)
    second = desk.answer("s1", answers_to(desk.open(asks), text="mine"))
    resumed = make_desk(index)
    assert [item.key for item in resumed.open(asks)] == [item.key for item in second]


def test_a_cut_turn_ends_the_dialogue_and_every_turn_has_a_row() -> None:
    desk = make_desk()
    items = desk.open(make_asks([make_prompt_row("d", turns=3)], turns=3))
    cut = make_answer(items[0].key, finish_reason=FinishReason.LENGTH, num_tokens=16)
    assert desk.answer("s1", [cut]) == []
    assert [(row.turn, row.status, row.reason) for row in ended_rows(desk)] == [
        (0, RowStatus.TRUNCATED, ""),
        (1, RowStatus.ERROR, EARLIER_TURN),
        (2, RowStatus.ERROR, EARLIER_TURN),
    ]
    assert desk.num_waiting == 0
