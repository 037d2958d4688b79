"""The winner and reuse rules hold whatever was stored, in whatever order it is read."""

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.answers.index import AnswerIndex
from ray_jobs.answers.reuse import Held, StoredAnswer, judge, winner
from ray_jobs.answers.segments import encode_segment, read_segment
from ray_jobs.answers.stored import StoredAnswersBuilder
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import RowStatus
from tests.stored_answers import key

KEYS = (key("k"), key("l"), key("k")[:16] + key("l")[16:])
"""The third shares its first half's half with the first."""
finishes = st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTEXT])
answers = st.builds(
    StoredAnswer,
    key=st.sampled_from("kl"),
    text=st.sampled_from(["", "a", "b"]),
    finish_reason=finishes,
    num_prompt_tokens=st.just(4),
    num_tokens=st.integers(1, 9),
    max_model_len=st.integers(5, 9),
)
held = st.builds(Held, segment=st.sampled_from("1234"), answer=answers)
rivals = held.filter(lambda held: held.answer.key == "k")
limits = st.integers(1, 10)
windows = st.none() | st.integers(5, 10)


@given(rivals, rivals, rivals)
def test_winner_does_not_depend_on_order_or_grouping(a: Held, b: Held, c: Held) -> None:
    assert winner(a, b) == winner(b, a)
    assert winner(winner(a, b), c) == winner(a, winner(b, c))
    assert winner(a, a) == a
    assert winner(a, b) in (a, b)


@given(st.lists(held, max_size=8), st.randoms(use_true_random=False))
def test_index_is_the_same_in_any_order_of_segments(rows: list[Held], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = AnswerIndex(), AnswerIndex()
    for row in rows:
        first.add(row.segment, [row.answer])
    for row in [*shuffled, *rows]:
        second.add(row.segment, [row.answer])
    assert [first.get(key) for key in "kl"] == [second.get(key) for key in "kl"]


@given(st.lists(st.builds(Held, segment=st.sampled_from("1234"), answer=answers), max_size=12))
def test_the_store_on_disk_has_the_same_winners_as_memory(rows: list[Held]) -> None:
    rows = [
        replace(row, answer=replace(row.answer, key=KEYS["klm".index(name)]))
        for row, name in zip(rows, itertools.cycle("klm"), strict=False)
    ]
    memory = AnswerIndex()
    with tempfile.TemporaryDirectory() as folder:
        with StoredAnswersBuilder(Path(folder) / "texts") as builder:
            for segment in "1234":
                # One segment never says the same thing of a key in two ways.
                held = {row.answer.key: row.answer for row in rows if row.segment == segment}
                memory.add(segment, held.values())
                data = encode_segment(list(held.values()), provenance={})
                builder.add(segment, read_segment(data))
            stored = builder.build()
        found = [stored.get(key) for key in KEYS]
        assert [held and held.answer for held in found] == [memory.get(key) for key in KEYS]
        assert len(stored) == len(memory)
        assert stored.get(key("unknown")) is None


@given(answers, limits, windows)
def test_only_an_answer_that_ended_by_itself_is_ok(
    answer: StoredAnswer, max_tokens: int, window: int | None
) -> None:
    if judge(answer, max_tokens=max_tokens, window=window) == RowStatus.OK:
        assert answer.finish_reason == FinishReason.STOP
        assert answer.num_tokens <= max_tokens


@given(answers, limits, windows)
def test_lowering_the_limit_never_costs_a_token(
    answer: StoredAnswer, max_tokens: int, window: int | None
) -> None:
    if judge(answer, max_tokens=max_tokens, window=window) is not None:
        for lower in range(1, max_tokens):
            assert judge(answer, max_tokens=lower, window=window) is not None


@given(answers, limits, windows)
def test_raising_the_limit_asks_again_only_for_what_was_cut(
    answer: StoredAnswer, max_tokens: int, window: int | None
) -> None:
    if judge(answer, max_tokens=max_tokens + 1, window=window) is None:
        assert answer.finish_reason != FinishReason.STOP


@given(answers, st.lists(held, max_size=6), limits)
def test_an_answer_generated_for_a_limit_serves_it_whatever_else_is_stored(
    fresh: StoredAnswer, others: list[Held], max_tokens: int
) -> None:
    # What an engine gives for this limit: at its end, at the limit, or at its window's end.
    window, num_prompt_tokens = 9, fresh.num_prompt_tokens
    num_tokens = min(max_tokens, window - num_prompt_tokens)
    finish = FinishReason.LENGTH if num_tokens == max_tokens else FinishReason.CONTEXT
    if fresh.finish_reason == FinishReason.STOP:
        num_tokens, finish = min(fresh.num_tokens, num_tokens), FinishReason.STOP
    made = StoredAnswer(
        key="k",
        text="new",
        finish_reason=finish,
        num_prompt_tokens=num_prompt_tokens,
        num_tokens=num_tokens,
        max_model_len=window,
    )
    index = AnswerIndex()
    index.add("9", [made])
    for other in others:
        # Cuts by another window than this job's are judged by their own window.
        if other.answer.finish_reason != FinishReason.CONTEXT:
            index.add(other.segment, [other.answer])
    winning = index.get("k")
    assert winning is not None
    assert judge(winning, max_tokens=max_tokens, window=window) is not None
