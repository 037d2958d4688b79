"""The command's last words: what came out, or what went wrong and what to do."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from controller.cli.hints import hint_for
from controller.cli.published import REPORT_NAME, RESULTS_NAME, Published
from controller.cli.results_table import results_table
from controller.launchers.ray_launcher import log_path
from controller.plan.snapshot import Attempt
from distillery.conditions import ConditionType
from distillery.status import JobStatus, StageStatus, StepState


def tell_success(console: Console, published: Published, *, workdir: Path) -> None:
    """The table of every arm, and where report, results and weights lie."""
    results = published.results
    if results is None:
        _line(console, f"succeeded; report and results: {published.uri}")
        return
    console.print(results_table(results))
    for note in results.notes:
        _line(console, f"note: {note}")
    _line(console, f"report:  {workdir / REPORT_NAME}")
    _line(console, f"results: {workdir / RESULTS_NAME}")
    for promotion in results.promotions:
        said = "promoted" if promotion.promoted else f"not promoted, {promotion.reason}"
        _line(console, f"weights of {promotion.student} ({said}): {promotion.weights_uri}")
    if not results.promotions:
        _line(console, f"weights: {published.uri}")


def tell_failure(
    console: Console,
    status: JobStatus,
    *,
    attempts: Sequence[Attempt],
    workdir: Path,
    command: str,
) -> None:
    """Each failed step with its whole message, what to do, and its log."""
    outcomes = {each.submission_id: each.outcome for each in attempts}
    for stage in status.stages:
        if stage.state == StepState.FAILED:
            outcome = outcomes.get(stage.ray_job_name)
            failed = outcome is not None and outcome.reason == stage.reason
            message = outcome.message if outcome is not None and failed else stage.message
            _tell_step(console, stage, workdir, message=message)
    done = [each.student for each in status.stages if _is_evaluated(each)]
    if done and status.is_true(ConditionType.PUBLISHED):
        _line(console, f"published without them: {', '.join(done)}; {workdir / REPORT_NAME}")
    _line(console, f"go on with: {command}")


def tell_interrupted(console: Console, *, command: str) -> None:
    """That everything is stopped and nothing lost, and how to go on."""
    _line(console, "interrupted; what was started is stopped, what was finished is kept")
    _line(console, f"go on with: {command}")


def _is_evaluated(stage: StageStatus) -> bool:
    return stage.stage == "evaluate" and stage.state == StepState.DONE


def _tell_step(console: Console, stage: StageStatus, workdir: Path, *, message: str) -> None:
    first, *others = message.removeprefix(f"{stage.step}: ").splitlines() or [""]
    _line(console, f"{stage.step} failed ({stage.reason}): {first}", style="bold red")
    for line in others:
        _line(console, f"  {line}", style="red")
    _line(console, f"  what to do: {hint_for(stage.stage, reason=stage.reason)}")
    if stage.attempt:
        log = log_path(workdir, step=stage.step, number=stage.attempt)
        _line(console, f"  log: {log}")


def _line(console: Console, text: str, *, style: str = "") -> None:
    # A path that is broken over two lines can't be copied: never wrap.
    console.print(Text(text, style=style), soft_wrap=True)
