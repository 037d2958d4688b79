"""Laws of the figures: intervals lie within the values, tests are symmetric."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.statistics import bootstrap_interval, mcnemar_p, mean_sd, paired_difference

values = st.floats(-100, 100, allow_nan=False)
rows = st.lists(st.tuples(values, values, st.sampled_from("abcdef")), min_size=1, max_size=40)
rights = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(rows=rows, seed=st.integers(0, 2**31 - 1))
def test_an_interval_lies_within_the_values_and_repeats(
    rows: list[tuple[float, float, str]], seed: int
) -> None:
    column, clusters = [row[0] for row in rows], [row[2] for row in rows]

    interval = bootstrap_interval(column, clusters, resamples=50, seed=seed)

    assert min(column) - 1e-9 <= interval.low <= interval.high <= max(column) + 1e-9
    assert bootstrap_interval(column, clusters, resamples=50, seed=seed) == interval


@given(rows=rows)
def test_a_paired_difference_turns_its_sign_with_the_arms(
    rows: list[tuple[float, float, str]],
) -> None:
    a, b, clusters = ([row[i] for row in rows] for i in range(3))

    forth = paired_difference(a, b, clusters)  # type: ignore[arg-type]
    back = paired_difference(b, a, clusters)  # type: ignore[arg-type]

    assert forth.difference == pytest.approx(-back.difference)
    assert forth.interval.low == pytest.approx(-back.interval.high, abs=1e-9)
    assert forth.interval.high == pytest.approx(-back.interval.low, abs=1e-9)


@given(pairs=rights)
def test_mcnemar_is_a_probability_and_symmetric(pairs: list[tuple[bool, bool]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    assert 0 < mcnemar_p(a, b) <= 1
    assert mcnemar_p(a, b) == pytest.approx(mcnemar_p(b, a))


@given(column=st.lists(values, min_size=1, max_size=10), shift=values)
def test_spread_does_not_move_with_the_mean(column: list[float], shift: float) -> None:
    moved = mean_sd([value + shift for value in column])

    assert moved.mean == pytest.approx(mean_sd(column).mean + shift, abs=1e-9)
    assert moved.sd == pytest.approx(mean_sd(column).sd, abs=1e-6)
