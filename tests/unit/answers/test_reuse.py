"""The reuse and winner rules, case by case."""

import pytest

from ray_jobs.answers.reuse import Held, judge, winner
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import RowStatus
from tests.stored_answers import make_answer, make_held

STOP, LENGTH, CONTEXT = FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTEXT


@pytest.mark.parametrize(
    ("finish", "num_tokens", "max_tokens", "want_status"),
    [
        pytest.param(STOP, 10, 10, RowStatus.OK, id="ended by itself within the limit"),
        pytest.param(STOP, 11, 10, RowStatus.TRUNCATED, id="ended by itself beyond the limit"),
        pytest.param(LENGTH, 10, 10, RowStatus.TRUNCATED, id="cut at the limit"),
        pytest.param(LENGTH, 16, 10, RowStatus.TRUNCATED, id="cut beyond the limit"),
        pytest.param(LENGTH, 9, 10, None, id="cut below the limit"),
        pytest.param(CONTEXT, 9, 10, RowStatus.TRUNCATED, id="cut by the window below the limit"),
        pytest.param(CONTEXT, 12, 10, RowStatus.TRUNCATED, id="cut by the window beyond it"),
    ],
)
def test_stored_answer_serves_a_limit(
    finish: FinishReason, num_tokens: int, max_tokens: int, want_status: RowStatus | None
) -> None:
    answer = make_answer(finish_reason=finish, num_tokens=num_tokens)
    assert judge(answer, max_tokens=max_tokens, window=None) == want_status


@pytest.mark.parametrize(
    ("window", "want_status"),
    [(128, RowStatus.TRUNCATED), (256, RowStatus.TRUNCATED), (257, None)],
)
def test_what_a_window_cut_is_asked_again_only_in_a_larger_window(
    window: int, want_status: RowStatus | None
) -> None:
    answer = make_answer(finish_reason=CONTEXT, num_tokens=9, max_model_len=256)
    assert judge(answer, max_tokens=100, window=window) == want_status


@pytest.mark.parametrize(
    ("window", "want_status"),
    [(49, RowStatus.TRUNCATED), (50, RowStatus.TRUNCATED), (51, None)],
)
def test_a_limit_cut_is_asked_again_only_if_the_window_has_room(
    window: int, want_status: RowStatus | None
) -> None:
    # A window of 50 can't give more than the 40 tokens that are stored, however high the limit.
    answer = make_answer(finish_reason=LENGTH, num_prompt_tokens=10, num_tokens=40)
    assert judge(answer, max_tokens=100, window=window) == want_status


@pytest.mark.parametrize(
    ("loser", "want"),
    [
        pytest.param(
            make_held("1", finish_reason=LENGTH, num_tokens=99), make_held("2"), id="complete wins"
        ),
        pytest.param(
            make_held("1", finish_reason=LENGTH, num_tokens=5),
            make_held("2", finish_reason=LENGTH, num_tokens=6),
            id="longer cut wins",
        ),
        pytest.param(make_held("2", num_tokens=30), make_held("1"), id="earliest complete wins"),
        pytest.param(
            make_held("2", finish_reason=LENGTH, text="b"),
            make_held("1", finish_reason=LENGTH, text="a"),
            id="earliest of equal cuts wins",
        ),
        pytest.param(
            make_held("1", finish_reason=LENGTH),
            make_held("2", finish_reason=CONTEXT),
            id="the window's cut is final, so it wins over an equal one",
        ),
    ],
)
def test_winner_of_two_answers_is_the_same_in_either_order(loser: Held, want: Held) -> None:
    assert winner(loser, want) == want
    assert winner(want, loser) == want
