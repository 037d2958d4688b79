"""Intervals and tests against naive forms and known values."""

import time

import numpy as np
import pytest

from distillery.errors import InvariantError
from ray_jobs.statistics import (
    Interval,
    bootstrap_interval,
    break_even_requests,
    mcnemar_p,
    mean_over_seeds,
    mean_sd,
    paired_difference,
    recovered_gap,
)


def _naive_interval(values: list[float], clusters: list[str], seed: int) -> Interval:
    """The docstring's naive form, one resample at a time with Python lists."""
    members: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        members.setdefault(cluster, []).append(value)
    names = sorted(members)
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(2000):
        drawn = [members[names[i]] for i in generator.integers(len(names), size=len(names))]
        rows = [value for cluster in drawn for value in cluster]
        means.append(sum(rows) / len(rows))
    means.sort()
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def test_the_interval_equals_the_naive_form_draw_by_draw() -> None:
    generator = np.random.default_rng(1)
    values = [float(value) for value in generator.integers(0, 2, size=60)]
    clusters = [f"c{number}" for number in generator.integers(0, 25, size=60)]

    want = _naive_interval(values, clusters, seed=3)
    got = bootstrap_interval(values, clusters, seed=3)

    assert (got.low, got.high) == pytest.approx((want.low, want.high))


def test_the_interval_agrees_with_the_normal_one_on_many_independent_rows() -> None:
    values = [1.0] * 600 + [0.0] * 400
    half_width = 1.96 * (0.6 * 0.4 / 1000) ** 0.5

    got = bootstrap_interval(values, [str(number) for number in range(1000)])

    assert got.low == pytest.approx(0.6 - half_width, abs=0.004)
    assert got.high == pytest.approx(0.6 + half_width, abs=0.004)


def test_rows_drawn_together_widen_the_interval() -> None:
    values = [1.0] * 50 + [0.0] * 50
    alone = bootstrap_interval(values, [str(number) for number in range(100)])
    together = bootstrap_interval(values, [str(number // 10) for number in range(100)])

    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_batches_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = [0.0, 1.0, 1.0, 3.0], ["a", "b", "b", "c"]
    want = bootstrap_interval(values, clusters, resamples=100)

    monkeypatch.setattr("ray_jobs.statistics._MAX_WEIGHTS_AT_ONCE", 7)

    assert bootstrap_interval(values, clusters, resamples=100) == want


def test_1500_rows_take_well_under_a_second() -> None:
    values = [float(number % 2) for number in range(1500)]
    clusters = [str(number) for number in range(1500)]
    start = time.process_time()

    bootstrap_interval(values, clusters)

    assert time.process_time() - start < 1.0


def test_a_narrower_confidence_gives_a_narrower_interval() -> None:
    values, clusters = [float(number % 3) for number in range(90)], [str(n) for n in range(90)]

    wide = bootstrap_interval(values, clusters, confidence=0.99)
    narrow = bootstrap_interval(values, clusters, confidence=0.8)

    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("values", "clusters", "options", "want"),
    [
        ([], [], {}, "^values and clusters: need as many rows, one at least, got 0 and 0$"),
        (
            [1.0],
            ["a", "b"],
            {},
            "^values and clusters: need as many rows, one at least, got 1 and 2",
        ),
        ([1.0], ["a"], {"confidence": 1.0}, "^bootstrap: out of range, got 1.0, 2000 resamples$"),
        ([1.0], ["a"], {"resamples": 0}, "^bootstrap: out of range, got 0.95, 0 resamples$"),
    ],
)
def test_an_interval_of_nothing_is_our_bug(
    values: list[float], clusters: list[str], options: dict[str, float], want: str
) -> None:
    with pytest.raises(InvariantError, match=want):
        bootstrap_interval(values, clusters, **options)  # type: ignore[arg-type]


def test_a_paired_difference_takes_the_rows_own_spread_away() -> None:
    b = [float(number) for number in range(50)]
    a = [value + 1 for value in b]

    paired = paired_difference(a, b, [str(number) for number in range(50)])

    assert paired.difference == 1.0
    assert paired.interval == Interval(low=1.0, high=1.0)
    assert paired.interval.excludes_zero()
    assert paired.num_rows == 50


@pytest.mark.parametrize(
    ("low", "high", "want"), [(-1, 1, False), (0, 1, False), (0.1, 1, True), (-1, -0.1, True)]
)
def test_an_interval_excludes_zero_only_where_both_ends_have_one_sign(
    low: float, high: float, want: bool
) -> None:
    assert Interval(low=low, high=high).excludes_zero() is want


def test_arms_of_different_length_are_our_bug() -> None:
    for compare in (
        lambda: paired_difference([1.0], [1.0, 0.0], ["a"]),
        lambda: mcnemar_p([True], [True, False]),
    ):
        with pytest.raises(InvariantError, match=r"^the two arms: need as many rows, .* 1 and 2$"):
            compare()


@pytest.mark.parametrize(
    ("only_a", "only_b", "both", "want"),
    [
        (0, 0, 5, 1.0),
        (5, 5, 0, 1.0),
        (1, 0, 3, 1.0),
        (5, 0, 3, 2 / 2**5),
        (0, 5, 3, 2 / 2**5),
        # P(X <= 1) + P(X >= 9) of Binomial(10, 1/2) = 2 x 11 / 1024.
        (9, 1, 2, 22 / 1024),
    ],
)
def test_mcnemar_is_the_exact_binomial_of_the_discordant_rows(
    only_a: int, only_b: int, both: int, want: float
) -> None:
    a = [True] * only_a + [False] * only_b + [True] * both
    b = [False] * only_a + [True] * only_b + [True] * both

    assert mcnemar_p(a, b) == pytest.approx(want)


def test_spread_over_seeds_is_the_sample_standard_deviation() -> None:
    spread = mean_sd([1.0, 2.0, 3.0])

    assert (spread.mean, spread.sd) == (2.0, 1.0)
    assert mean_sd([0.5]).sd == 0.0
    with pytest.raises(InvariantError, match=r"^seeds: nothing to average, got 0 values$"):
        mean_sd([])


def test_an_arm_over_all_seeds_is_each_rows_mean() -> None:
    assert mean_over_seeds([[1.0, 0.0], [0.0, 0.0]]) == [0.5, 0.0]
    with pytest.raises(InvariantError, match=r"^seeds: nothing to average, got 0 trials$"):
        mean_over_seeds([])
    with pytest.raises(InvariantError, match=r"^trials: need as many rows, .* got 1 and 2$"):
        mean_over_seeds([[1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("student", "base", "teacher", "want"),
    [
        (0.6, 0.5, 0.7, 0.5),
        (0.8, 0.5, 0.7, 1.5),
        (0.4, 0.5, 0.7, -0.5),
        (0.6, 0.5, 0.5, None),
        (0.6, 0.5, 0.4, None),
    ],
)
def test_the_recovered_gap_is_a_share_of_the_teachers_lead(
    student: float, base: float, teacher: float, want: float | None
) -> None:
    got = recovered_gap(student, base=base, teacher=teacher)

    assert got == (None if want is None else pytest.approx(want))


@pytest.mark.parametrize(
    ("student_cost", "want"), [(0.25, 40.0), (1.0, 120.0), (1.25, None), (2.0, None)]
)
def test_break_even_is_where_the_saving_has_paid_the_making(
    student_cost: float, want: float | None
) -> None:
    got = break_even_requests(
        labelling_cost=10,
        training_cost=20,
        teacher_cost_per_request=1.0 if want == 40.0 else 1.25,
        student_cost_per_request=student_cost,
    )

    assert got == (None if want is None else pytest.approx(want))
