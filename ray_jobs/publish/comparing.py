"""Paired differences between models on the same test rows, for each seed and over all. Pure."""

from collections.abc import Iterator, Sequence

from distillery.results import Comparison
from distillery.tasks import Arm, PromptVariant
from ray_jobs.publish.figures import arm_name, clusters_of, primary_scores
from ray_jobs.publish.gathering import Findings, Gathered
from ray_jobs.records import PredictionRow
from ray_jobs.statistics import mcnemar_p, mean_over_seeds, paired_difference

Scores = list[float]
CONSTANT_ROW = "Constant"
TEACHER_VANILLA = "Teacher Vanilla"
_RANK = (Arm.VANILLA, Arm.CHAIN_OF_THOUGHT, Arm.CHAIN_OF_DENSITY, Arm.GOLD)


def comparisons(gathered: Gathered) -> tuple[Comparison, ...]:
    """Every trained arm against the base, the constant answer, the teacher's vanilla answers, and
    against the arms of simpler labels (Vanilla, then reasoning, then Gold)."""
    return tuple(
        comparison
        for student, findings in gathered.students.items()
        for comparison in _of_student(gathered, student, findings)
    )


def _of_student(gathered: Gathered, student: str, findings: Findings) -> Iterator[Comparison]:
    metric = gathered.task.primary_metric
    clusters = clusters_of(findings.evaluations[0][1])
    fixed = _fixed_rows(gathered, findings, metric)
    trained: dict[Arm, dict[int, Scores]] = {}
    for evaluation, predictions in findings.evaluations:
        if evaluation.seed is not None:
            by_seed = trained.setdefault(evaluation.arm, {})
            by_seed[evaluation.seed] = primary_scores(predictions, metric)
    for arm, by_seed in trained.items():
        rivals: dict[str, dict[int, Scores]] = {
            name: dict.fromkeys(by_seed, scores) for name, scores in fixed.items()
        }
        rivals |= {
            other.value: seeds
            for other, seeds in trained.items()
            if _RANK.index(other) < _RANK.index(arm)
        }
        for versus, seeds in rivals.items():
            common = [seed for seed in by_seed if seed in seeds]
            pairs = [(seed, by_seed[seed], seeds[seed]) for seed in common]
            for seed, first, second in pairs:
                yield _compare(
                    first, second, clusters, student=student, arms=(arm, versus), seed=seed
                )
            if len(pairs) > 1:
                first = mean_over_seeds([scores for _, scores, _ in pairs])
                second = mean_over_seeds([scores for _, _, scores in pairs])
                yield _compare(
                    first, second, clusters, student=student, arms=(arm, versus), seed=None
                )


def _fixed_rows(gathered: Gathered, findings: Findings, metric: str) -> dict[str, Scores]:
    rows: dict[str, Sequence[PredictionRow]] = {
        arm_name(evaluation): predictions
        for evaluation, predictions in findings.evaluations
        if evaluation.seed is None
    }
    if gathered.constant is not None:
        rows[CONSTANT_ROW] = gathered.constant[1]
    if PromptVariant.VANILLA in gathered.teacher:
        rows[TEACHER_VANILLA] = gathered.teacher[PromptVariant.VANILLA]
    return {name: primary_scores(predictions, metric) for name, predictions in rows.items()}


def _compare(
    first: Scores,
    second: Scores,
    clusters: Sequence[str],
    *,
    student: str,
    arms: tuple[Arm, str],
    seed: int | None,
) -> Comparison:
    paired = paired_difference(first, second, clusters)
    is_right_or_wrong = set(first) | set(second) <= {0.0, 1.0}
    # McNemar's test takes rows for independent; in clusters of several it would see far too much.
    is_independent = len(set(clusters)) == len(clusters)
    return Comparison(
        student=student,
        seed=seed,
        arm=arms[0].value,
        versus=arms[1],
        difference=paired.difference,
        ci_low=paired.interval.low,
        ci_high=paired.interval.high,
        p_value=mcnemar_p([x == 1 for x in first], [x == 1 for x in second])
        if is_right_or_wrong and is_independent
        else None,
        num_rows=paired.num_rows,
    )
