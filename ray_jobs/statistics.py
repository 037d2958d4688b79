"""The figures beside a metric: intervals, paired tests, spread over seeds, gap and pay-back.

Everything here takes plain numbers, one a test row, and is repeatable: random draws come from the
``seed`` given. Rows that share a premise (a ``cluster``) are drawn together. Metrics are in
``ray_jobs.tasks``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from distillery.errors import InvariantError

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
_MAX_WEIGHTS_AT_ONCE = 4_000_000
"""Resamples x clusters held in memory at a time (float64: 32 MB)."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided percentile interval."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The mean of ``a - b`` over the same rows, with its interval."""

    difference: float
    interval: Interval
    num_rows: int


@dataclass(frozen=True, kw_only=True)
class MeanSd:
    """Mean and sample standard deviation (n - 1; 0 for one value)."""

    mean: float
    sd: float


def bootstrap_interval(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The percentile interval of the mean of ``values``, by bootstrap over clusters.

    Naive form, for each resample: draw as many clusters as there are, with replacement; its mean is
    the sum over all drawn rows / their number. The interval runs from quantile (1 - confidence) / 2
    to its counterpart.

    Args:
        values: ``[rows]``.
        clusters: ``[rows]``, equal where rows belong together.
        confidence: Between 0 and 1.
        resamples: How many draws.
        seed: Of the draws.

    Raises:
        InvariantError: No rows, lengths that differ, confidence or resamples out of range.
    """
    import numpy as np

    _check_same_length(values, clusters, names="values and clusters")
    if not 0 < confidence < 1 or resamples < 1:
        raise InvariantError(f"bootstrap: out of range, got {confidence}, {resamples} resamples")
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(index).astype(np.float64)
    draws = _draw_weights(np.random.default_rng(seed), num_clusters=len(sums), resamples=resamples)
    means = np.concatenate([weights @ sums / (weights @ counts) for weights in draws])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[str],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> PairedDifference:
    """The mean of ``a - b`` row by row, with its interval by bootstrap over clusters.

    Raises:
        InvariantError: No rows, or lengths that differ.
    """
    _check_same_length(a, b, names="the two arms")
    differences = [first - second for first, second in zip(a, b, strict=True)]
    interval = bootstrap_interval(differences, clusters, confidence=confidence, seed=seed)
    return PairedDifference(
        difference=sum(differences) / len(differences), interval=interval, num_rows=len(differences)
    )


def mcnemar_p(a_right: Sequence[bool], b_right: Sequence[bool]) -> float:
    """The two-sided p-value of McNemar's exact test; 1 where the two agree on every row.

    Naive form: of the n rows that just one got right, k are a's; the probability under Binomial(n,
    1/2) of a count at most as likely as k.

    Raises:
        InvariantError: No rows, or lengths that differ.
    """
    from scipy.stats import binomtest

    _check_same_length(a_right, b_right, names="the two arms")
    pairs = list(zip(a_right, b_right, strict=True))
    only_a = sum(first and not second for first, second in pairs)
    only_b = sum(second and not first for first, second in pairs)
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def mean_sd(values: Sequence[float]) -> MeanSd:
    """Mean and spread over seeds. Raises ``InvariantError`` for no values."""
    import statistics

    if not values:
        raise InvariantError("seeds: nothing to average, got 0 values")
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return MeanSd(mean=statistics.fmean(values), sd=sd)


def mean_over_seeds(trials: Sequence[Sequence[float]]) -> list[float]:
    """Each row's mean over the trials ``[seeds][rows]``: what an arm is tested by over all seeds.

    Raises:
        InvariantError: No trials, no rows, or lengths that differ.
    """
    if not trials:
        raise InvariantError("seeds: nothing to average, got 0 trials")
    for trial in trials:
        _check_same_length(trials[0], trial, names="trials")
    return [sum(row) / len(row) for row in zip(*trials, strict=True)]


def recovered_gap(student: float, *, base: float, teacher: float) -> float | None:
    """``(student - base) / (teacher - base)``; None where the teacher is no better than base."""
    gap = teacher - base
    return (student - base) / gap if gap > 0 else None


def break_even_requests(
    *,
    labelling_cost: float,
    training_cost: float,
    teacher_cost_per_request: float,
    student_cost_per_request: float,
) -> float | None:
    """After how many requests the student has paid for itself; None where it never does.

    ``(labelling + training) / (teacher - student)``, all in one currency; prices are the caller's.
    """
    saving = teacher_cost_per_request - student_cost_per_request
    return (labelling_cost + training_cost) / saving if saving > 0 else None


def _draw_weights(generator: Any, *, num_clusters: int, resamples: int) -> Iterator[Any]:
    """How often each cluster was drawn, ``[at most resamples, clusters]``, in batches."""
    import numpy as np

    batch = max(1, _MAX_WEIGHTS_AT_ONCE // num_clusters)
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        drawn = generator.integers(num_clusters, size=(size, num_clusters))
        # One bincount over all resamples: each has its own range of bins.
        bins = drawn + np.arange(size)[:, None] * num_clusters
        counts = np.bincount(bins.ravel(), minlength=size * num_clusters)
        yield counts.reshape(size, num_clusters).astype(np.float64)


def _check_same_length(first: Sequence[Any], second: Sequence[Any], *, names: str) -> None:
    if len(first) != len(second) or not first:
        raise InvariantError(
            f"{names}: need as many rows, one at least, got {len(first)} and {len(second)}"
        )
