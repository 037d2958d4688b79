"""Predictions to the rows of the table: every model's primary metric with its interval. Pure."""

from collections.abc import Sequence

from distillery.evaluations import Evaluation
from distillery.results import CONSTANT, TEACHER, ArmResult, TrialResult
from distillery.tasks import Arm, PromptVariant
from ray_jobs.publish.gathering import Gathered
from ray_jobs.records import PredictionRow, RowStatus
from ray_jobs.statistics import bootstrap_interval, mean_over_seeds, mean_sd, recovered_gap


def primary_scores(predictions: Sequence[PredictionRow], metric: str) -> list[float]:
    """The primary metric of each prediction, in order."""
    return [dict(row.scores)[metric] for row in predictions]


def clusters_of(predictions: Sequence[PredictionRow]) -> list[str]:
    """What each prediction is drawn together with."""
    return [row.group for row in predictions]


def trial_results(gathered: Gathered) -> tuple[TrialResult, ...]:
    """Teacher rows, the constant answer, then each student's base, references and trials."""
    results = [
        _result(gathered, predictions, student=TEACHER, arm=variant.value, seed=None)
        for variant, predictions in gathered.teacher.items()
    ]
    if gathered.constant is not None:
        _, predictions = gathered.constant
        results.append(_result(gathered, predictions, student=CONSTANT, arm="Constant", seed=None))
    for student, findings in gathered.students.items():
        for evaluation, predictions in findings.evaluations:
            row = _result(
                gathered,
                predictions,
                student=student,
                arm=arm_name(evaluation),
                seed=evaluation.seed,
            )
            results.append(row.model_copy(update={"seconds": evaluation.seconds}))
    return tuple(results)


def arm_name(evaluation: Evaluation) -> str:
    """``Base`` asked with a reference prompt says so; every other row is its arm."""
    if evaluation.variant == PromptVariant.VANILLA:
        return evaluation.arm.value
    return f"{evaluation.arm} asked {evaluation.variant}"


def arm_results(gathered: Gathered) -> tuple[ArmResult, ...]:
    """Each student's trained arms over their seeds; the interval is over test rows, each row's
    score averaged over seeds first. The gap is to the best teacher prompt."""
    metric = gathered.task.primary_metric
    best_teacher = max(_mean(rows, metric) for rows in gathered.teacher.values())
    results = []
    for student, findings in gathered.students.items():
        base = next(
            _mean(rows, metric)
            for evaluation, rows in findings.evaluations
            if arm_name(evaluation) == Arm.BASE
        )
        for arm in dict.fromkeys(trial.arm for trial in findings.trials):
            seeds = [rows for evaluation, rows in findings.evaluations if evaluation.arm == arm]
            scores = [primary_scores(rows, metric) for rows in seeds]
            spread = mean_sd([sum(each) / len(each) for each in scores])
            interval = bootstrap_interval(mean_over_seeds(scores), clusters_of(seeds[0]))
            results.append(
                ArmResult(
                    student=student,
                    arm=arm.value,
                    metric=metric,
                    mean=spread.mean,
                    sd=spread.sd,
                    ci_low=interval.low,
                    ci_high=interval.high,
                    num_seeds=len(seeds),
                    recovered_gap=recovered_gap(spread.mean, base=base, teacher=best_teacher),
                )
            )
    return tuple(results)


def _mean(predictions: Sequence[PredictionRow], metric: str) -> float:
    scores = primary_scores(predictions, metric)
    return sum(scores) / len(scores)


def _result(
    gathered: Gathered,
    predictions: Sequence[PredictionRow],
    *,
    student: str,
    arm: str,
    seed: int | None,
) -> TrialResult:
    metric = gathered.task.primary_metric
    scores = primary_scores(predictions, metric)
    interval = bootstrap_interval(scores, clusters_of(predictions))
    summary = gathered.task.summarise(predictions, gathered.truth.gold)
    return TrialResult(
        student=student,
        arm=arm,
        seed=seed,
        metric=metric,
        value=sum(scores) / len(scores),
        ci_low=interval.low,
        ci_high=interval.high,
        num_rows=len(gathered.rows),
        num_unparsable=sum(row.status is not RowStatus.OK for row in predictions),
        other_metrics={name: value for name, value in summary.items() if name != metric},
        num_tokens=sum(row.num_tokens for row in predictions),
    )
