"""``results.json``: what a job found out, machine-readable. Its JSON schema is published.

Written by ``ray_jobs.publish``, read by ``controller.cli`` for the table at the end.
"""

from typing import Any

from pydantic import Field

from distillery.spec.model import Model
from distillery.tasks import TaskName

TEACHER = "teacher"
CONSTANT = "constant"
UNPARSABLE_RATE = "unparsable_rate"
"""Among a trial's other metrics: answers that can't be read / all answers."""


class TrialResult(Model):
    """One row of the table: a trial, an untrained base, a teacher prompt, or the constant answer.

    ``value`` is the task's primary metric as a fraction of all test rows (an answer that can't be
    parsed is wrong), ``ci_low`` and ``ci_high`` its 95% bootstrap interval. ``num_unparsable``
    counts answers: several a row in CONVERSATION. ``seed`` is null for rows that were not trained.
    ``seconds`` is the time the answers took, ``num_tokens`` what was generated for them.
    """

    student: str
    arm: str
    seed: int | None
    metric: str
    value: float
    ci_low: float
    ci_high: float
    num_rows: int
    num_unparsable: int
    other_metrics: dict[str, float] = Field(default_factory=dict)
    num_tokens: int = 0
    seconds: float = 0.0

    def dump(self) -> dict[str, object]:
        """As ``Model.dump``, but a missing seed is written as null: readers select on it."""
        return {**super().dump(), "seed": self.seed}


class ArmResult(Model):
    """An arm over its seeds: mean and standard deviation (0 for one seed), and the share of the
    gap between base and the best teacher row that it closes (absent where there is no gap)."""

    student: str
    arm: str
    metric: str
    mean: float
    sd: float
    ci_low: float
    ci_high: float
    num_seeds: int
    recovered_gap: float | None = None


class Comparison(Model):
    """A paired difference ``arm - versus`` on the same test rows, with its 95% interval by
    bootstrap over clusters, and McNemar's exact p-value where rows are right or wrong and no two
    share a cluster. A null ``seed``: each row's score averaged over all seeds."""

    student: str
    seed: int | None
    arm: str
    versus: str
    difference: float
    ci_low: float
    ci_high: float
    p_value: float | None = None
    num_rows: int

    def dump(self) -> dict[str, object]:
        """As ``Model.dump``, but a missing seed (all of them) is written as null."""
        return {**super().dump(), "seed": self.seed}


class Promotion(Model):
    """Whether the rule of ``evaluation.promoteIf`` held for a student, and which trial stands for
    it (chosen by validation loss, never by test)."""

    student: str
    promoted: bool
    reason: str
    arm: str
    seed: int
    weights_uri: str
    merged_value: float | None = None
    """The primary metric of the published (merged) weights, evaluated again."""


class StageCost(Model):
    """What a step took: ``seconds`` of wall time by its own clock, tokens generated or trained."""

    step: str
    seconds: float
    num_tokens: int = 0
    details: dict[str, float] = Field(default_factory=dict)


class Results(Model):
    """The whole document."""

    schema_version: int = 1
    job: str
    namespace: str
    task: TaskName
    metric: str
    trials: tuple[TrialResult, ...]
    arms: tuple[ArmResult, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    promotions: tuple[Promotion, ...] = ()
    failed_students: dict[str, str] = Field(default_factory=dict)
    costs: tuple[StageCost, ...] = ()
    notes: tuple[str, ...] = ()
    """Warnings a reader of the figures must know."""
    report_uri: str = ""
    teacher: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    """Yields, label quality and the data's own report, as curate and prepare summed them up."""

    def dump(self) -> dict[str, object]:
        """As ``Model.dump``, with each null seed kept."""
        return {
            **super().dump(),
            "trials": [trial.dump() for trial in self.trials],
            "comparisons": [comparison.dump() for comparison in self.comparisons],
        }


def results_schema() -> dict[str, Any]:
    """The JSON schema of ``results.json``."""
    return Results.model_json_schema(by_alias=True, mode="serialization")
