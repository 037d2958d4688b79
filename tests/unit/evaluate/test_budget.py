"""How long an evaluated answer may be."""

import pytest

from distillery.errors import InvariantError
from ray_jobs.evaluate.budget import answer_budget


@pytest.mark.parametrize(
    ("lengths", "want"),
    [
        pytest.param([2], 3, id="one_target"),
        pytest.param([2] * 99 + [100], 3, id="one_in_a_hundred_is_left_out"),
        pytest.param([2] * 98 + [100] * 2, 150, id="two_in_a_hundred_count"),
        pytest.param([3], 5, id="halves_are_rounded_up"),
    ],
)
def test_the_budget_is_half_more_than_the_99th_percentile(lengths: list[int], want: int) -> None:
    assert answer_budget(lengths) == want


def test_no_targets_are_our_bug() -> None:
    with pytest.raises(InvariantError, match=r"evaluation\.maxTokens: no targets"):
        answer_budget([])
