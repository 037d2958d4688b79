"""Means over prediction rows, shared by all tasks.

Equations: the mean of a score is the sum over rows that carry it / the number of those rows; a
row whose answer can't be parsed carries its quality metrics as 0 and no descriptive ones.
``unparsable_rate`` = rows whose status is not OK / all rows.
"""

from collections.abc import Sequence

from distillery.errors import InvariantError
from distillery.results import UNPARSABLE_RATE
from ray_jobs.records import PredictionRow, RowStatus


def mean_scores(
    predictions: Sequence[PredictionRow], *, also_parsable: Sequence[str] = ()
) -> dict[str, float]:
    """Every score's mean, ``<name>_parsable`` over parsable rows for the names in
    ``also_parsable`` (absent where no row is parsable), and ``unparsable_rate``."""
    if not predictions:
        raise InvariantError("predictions: nothing to sum up, got 0 rows")
    means = _means(predictions)
    parsable = [row for row in predictions if row.status is RowStatus.OK]
    of_parsable = _means(parsable)
    for name in also_parsable:
        if name in of_parsable:
            means[f"{name}_parsable"] = of_parsable[name]
    means[UNPARSABLE_RATE] = (len(predictions) - len(parsable)) / len(predictions)
    return means


def _means(predictions: Sequence[PredictionRow]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in predictions:
        for name, value in row.scores:
            values.setdefault(name, []).append(value)
    return {name: sum(scores) / len(scores) for name, scores in values.items()}
