"""The table at the end of a run: every arm and trial, from ``results.json``."""

from rich.table import Table
from rich.text import Text

from controller.cli.progress_text import duration
from distillery.results import UNPARSABLE_RATE, Results, TrialResult


def results_table(results: Results) -> Table:
    """A row for each of ``results.trials``, by model, arm and seed."""
    table = Table(title=f"{results.job}: {results.metric}, 95% interval", title_justify="left")
    for name in ("model", "arm", "seed"):
        table.add_column(name, no_wrap=True)
    for name in (results.metric, "interval", "unparsable", "tokens", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in sorted(results.trials, key=_order):
        table.add_row(*(Text(cell) for cell in _cells(trial)))
    return table


def _order(trial: TrialResult) -> tuple[str, str, int]:
    return trial.student, trial.arm, -1 if trial.seed is None else trial.seed


def _cells(trial: TrialResult) -> tuple[str, ...]:
    unparsable = trial.other_metrics.get(UNPARSABLE_RATE)
    return (
        trial.student,
        trial.arm,
        "" if trial.seed is None else str(trial.seed),
        f"{trial.value:.3f}",
        f"{trial.ci_low:.3f} to {trial.ci_high:.3f}",
        "" if unparsable is None else f"{unparsable:.1%}",
        f"{trial.num_tokens:,}",
        duration(trial.seconds) if trial.seconds else "",
    )
