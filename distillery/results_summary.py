"""The figures of a job's arms in the few bytes a step's outcome may take, and back. Pure.

Written by ``ray_jobs.publish``, read by the planner for ``status.results``; the whole of them is
``results.json``. A test packs a job at all bounds.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from distillery.results import Results
from distillery.status import ArmFigures, ResultsStatus

_METRIC, _ARMS, _PROMOTED = "metric", "arms", "promoted"
_DIGITS = 4


def pack_results(results: Results) -> dict[str, Any]:
    """The figures as an outcome's summary: ``arms`` maps each student to rows of ``[arm, mean,
    low, high, number of seeds]``."""
    arms: dict[str, list[list[Any]]] = {}
    for arm in results.arms:
        figures = [round(value, _DIGITS) for value in (arm.mean, arm.ci_low, arm.ci_high)]
        arms.setdefault(arm.student, []).append([arm.arm, *figures, arm.num_seeds])
    promoted = [each.student for each in results.promotions if each.promoted]
    return {_METRIC: results.metric, _ARMS: arms, _PROMOTED: promoted}


def unpack_results(summary: Mapping[str, Any]) -> ResultsStatus | None:
    """The figures that ``pack_results`` wrote; None where ``summary`` is something else."""
    try:
        return ResultsStatus(
            metric=summary[_METRIC],
            arms=tuple(
                ArmFigures(
                    student=student, arm=arm, mean=mean, ci_low=low, ci_high=high, num_seeds=seeds
                )
                for student, rows in summary[_ARMS].items()
                for arm, mean, low, high, seeds in rows
            ),
            promoted=tuple(summary[_PROMOTED]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError):
        return None
