"""What a reader of the figures must mind, found in the figures themselves. Pure.

Source: METHOD, Pitfalls (the numbers below are its).
"""

from collections.abc import Iterator

from distillery.results import TEACHER, UNPARSABLE_RATE, ArmResult, Comparison, TrialResult
from distillery.tasks import Arm, PromptVariant, TaskName
from ray_jobs.publish.gathering import Gathered

FEW_ROWS = 200
"""Below this a percentage point is less than two rows; intervals say so, and a note does too."""

MUCH_UNREADABLE = 0.1
"""Share of the base's answers above which a gain may be no more than the form."""


def find_notes(
    gathered: Gathered,
    trials: tuple[TrialResult, ...],
    arms: tuple[ArmResult, ...],
    found: tuple[Comparison, ...],
) -> tuple[str, ...]:
    """One sentence a warning."""
    return tuple(
        [
            *gathered.data.notes,
            *_on_rows(gathered),
            *_on_teacher(gathered, trials, arms),
            *_on_format(trials),
            *_on_gain(arms, found),
        ]
    )


def _on_rows(gathered: Gathered) -> Iterator[str]:
    if len(gathered.rows) < FEW_ROWS:
        yield (
            f"only {len(gathered.rows)} test rows: this shows that the path works, "
            "not how good a model is; read the intervals"
        )
    cut = sum(split.num_rows_cut for split in gathered.data.splits.values())
    if cut:
        yield f"{cut} articles were cut after {gathered.data.max_words} words (dataset.maxWords)"
    yield (
        "validation loss is measured on labels of the arm's own teacher prompt: it is agreement "
        "with those labels, not accuracy"
    )  # Pitfall 6.


def _on_teacher(
    gathered: Gathered, trials: tuple[TrialResult, ...], arms: tuple[ArmResult, ...]
) -> Iterator[str]:
    if gathered.task.name == TaskName.CONVERSATION:
        yield (
            "teacher_agreement is likeness to the teacher's vanilla replies: the teacher's own "
            "row is 1 by definition and says nothing of quality"
        )
        return
    rows = {trial.arm: trial.value for trial in trials if trial.student == TEACHER}
    vanilla = rows.get(PromptVariant.VANILLA)
    for arm in arms:  # Pitfall 1.
        own = rows.get(arm.arm)
        if own is not None and vanilla is not None and vanilla < arm.mean <= own:
            yield (
                f"{arm.student} {arm.arm} ({arm.mean:.3f}) is above the teacher asked Vanilla "
                f"({vanilla:.3f}) and not above the teacher asked {arm.arm} ({own:.3f}), whose "
                "answers taught it"
            )


def _on_format(trials: tuple[TrialResult, ...]) -> Iterator[str]:
    for trial in trials:  # Pitfall 4.
        share = trial.other_metrics.get(UNPARSABLE_RATE, 0.0)
        if trial.arm == Arm.BASE and share > MUCH_UNREADABLE:
            yield (
                f"{share:.0%} of {trial.student} Base answers could not be read: part of any gain "
                "over Base is the learnt form, not knowledge; compare the parsable rows"
            )


def _on_gain(arms: tuple[ArmResult, ...], found: tuple[Comparison, ...]) -> Iterator[str]:
    num_seeds = {(arm.student, arm.arm): arm.num_seeds for arm in arms}
    for each in found:  # Pitfall 14.
        is_whole = each.seed is None or num_seeds[each.student, each.arm] == 1
        if each.versus == Arm.BASE and is_whole and each.ci_low <= 0:
            yield (
                f"{each.student} {each.arm} shows no gain over Base: {each.difference:+.3f}, "
                f"interval [{each.ci_low:+.3f}, {each.ci_high:+.3f}]"
            )
