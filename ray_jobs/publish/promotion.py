"""Which trial stands for a student, and whether the rule of promotion holds. Pure.

The arm comes from the rule, or is the one of the most elaborate labels; the seed is the one of the
lowest validation loss. Test rows choose nothing.
"""

from collections.abc import Sequence

from distillery.results import Promotion
from distillery.spec.job import PromoteIf
from distillery.tasks import Arm
from distillery.trials import TrialRef
from ray_jobs.publish.figures import arm_name, clusters_of, primary_scores
from ray_jobs.publish.gathering import Findings
from ray_jobs.statistics import mean_over_seeds, paired_difference

# Without a rule: reasoned labels before plain ones, the ground truth last, for it is the yardstick.
_PREFERRED = (Arm.CHAIN_OF_THOUGHT, Arm.CHAIN_OF_DENSITY, Arm.VANILLA, Arm.GOLD)


def chosen_trial(trials: Sequence[TrialRef], rule: PromoteIf | None) -> TrialRef:
    """The trial to publish; without validation rows the first seed."""
    arms = {trial.arm for trial in trials}
    arm = rule.arm if rule else next(arm for arm in _PREFERRED if arm in arms)
    candidates = [trial for trial in trials if trial.arm == arm]
    return min(
        candidates,
        key=lambda trial: float("inf") if trial.validation_loss is None else trial.validation_loss,
    )


def describe_choice(trials: Sequence[TrialRef], arm: str) -> str:
    """How the published seed of ``arm`` was chosen, for a reader."""
    if any(trial.arm == arm and trial.validation_loss is not None for trial in trials):
        return "the seed of the lowest validation loss"
    return "the first seed, for there were no validation rows"


def judge(
    student: str, findings: Findings, *, rule: PromoteIf | None, metric: str, weights_uri: str
) -> Promotion:
    """The verdict: the rule is tested over all seeds, on the same test rows."""
    trial = chosen_trial(findings.trials, rule)
    promoted, reason = (
        (False, "no evaluation.promoteIf in the job")
        if rule is None
        else _test(findings, rule, metric)
    )
    return Promotion(
        student=student,
        promoted=promoted,
        reason=reason,
        arm=trial.arm.value,
        seed=trial.seed,
        weights_uri=weights_uri,
    )


def _test(findings: Findings, rule: PromoteIf, metric: str) -> tuple[bool, str]:
    scores: dict[str, list[list[float]]] = {}
    for evaluation, predictions in findings.evaluations:
        scores.setdefault(arm_name(evaluation), []).append(primary_scores(predictions, metric))
    paired = paired_difference(
        mean_over_seeds(scores[rule.arm]),
        mean_over_seeds(scores[rule.beats]),
        clusters_of(findings.evaluations[0][1]),
        confidence=rule.confidence,
    )
    interval = f"[{paired.interval.low:+.3f}, {paired.interval.high:+.3f}]"
    said = f"{rule.arm} - {rule.beats} = {paired.difference:+.3f}, {rule.confidence:.0%} {interval}"
    return paired.interval.low > 0, said
