"""How a run looks: a table that moves on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.cli.progress_text import (
    elapsed_text,
    progress_text,
    rate_text,
    remaining_text,
    stage_text,
    state_text,
)
from distillery.status import JobStatus, StageStatus, StepState

PLAIN_INTERVAL_S = 10.0
COLUMNS = 160
"""Where no terminal says how wide it is."""
_STYLES = {
    StepState.WAITING: "dim",
    StepState.RUNNING: "bold cyan",
    StepState.BACKING_OFF: "yellow",
    StepState.DONE: "green",
    StepState.FAILED: "bold red",
    StepState.SKIPPED: "dim",
}
Now = Callable[[], datetime]


def make_console(out: TextIO) -> Console:
    """Prints to ``out``, as wide as its terminal or ``COLUMNS``."""
    console = Console(file=out)
    return console if console.is_terminal else Console(file=out, width=COLUMNS)


def utc_now() -> datetime:
    """The time, for views."""
    return datetime.now(tz=UTC)


class PlainView:
    """A line when a step changes its state, and one about every running step now and then."""

    def __init__(self, out: TextIO, *, now: Now = utc_now) -> None:
        self._out = out
        self._now = now
        self._states: dict[str, tuple[StepState, int]] = {}
        self._told_at: dict[str, datetime] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        return None

    def say(self, message: str) -> None:
        """Writes a line with the time of day."""
        self._out.write(f"{self._now():%H:%M:%S} {message}\n")
        self._out.flush()

    def show(self, status: JobStatus) -> None:
        """Writes what has changed, and every 10 s how far the running steps are."""
        for stage in status.stages:
            key = (stage.state, stage.attempt)
            if key != self._states.get(stage.step, (StepState.WAITING, 0)):
                self._states[stage.step] = key
                self._told_at[stage.step] = self._now()
                self._say_change(stage)
            elif stage.state == StepState.RUNNING:
                self._say_progress(stage)

    def _say_change(self, stage: StageStatus) -> None:
        details = [stage_text(stage)]
        if stage.state == StepState.DONE:
            details.append(elapsed_text(stage, self._now()))
        text = ", ".join(detail for detail in details if detail)
        self.say(f"{stage.step}: {state_text(stage.state)}" + (f", {text}" if text else ""))

    def _say_progress(self, stage: StageStatus) -> None:
        now = self._now()
        if (now - self._told_at[stage.step]).total_seconds() < PLAIN_INTERVAL_S:
            return
        self._told_at[stage.step] = now
        progress = stage.progress
        details = [progress_text(progress), rate_text(progress), remaining_text(progress)]
        self.say(f"{stage.step}: " + ", ".join(detail for detail in details if detail))


class TerminalView:
    """A line a step, drawn anew as the run goes on; it stays on the screen at the end."""

    def __init__(self, console: Console, *, now: Now = utc_now) -> None:
        self._console = console
        self._now = now
        self._live = Live(console=console, refresh_per_second=4, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, message: str) -> None:
        """Writes a line above the table."""
        self._console.print(Text(message))

    def show(self, status: JobStatus) -> None:
        """Draws the table."""
        self._live.update(stage_table(status, self._now()), refresh=True)


def stage_table(status: JobStatus, now: datetime) -> Table:
    """A row a step: state, what is being done, tokens a second, time left, time taken."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, justify in (("step", "left"), ("state", "left"), ("what", "left")):
        table.add_column(name, justify=justify, no_wrap=name != "what")  # type: ignore[arg-type]
    for name in ("rate", "left", "elapsed"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in status.stages:
        running = stage.state == StepState.RUNNING
        style = _STYLES[stage.state]
        table.add_row(
            Text(stage.step, style=style),
            Text(state_text(stage.state), style=style),
            Text(stage_text(stage) if running or stage.state != StepState.WAITING else ""),
            Text(rate_text(stage.progress) if running else ""),
            Text(remaining_text(stage.progress) if running else ""),
            Text(elapsed_text(stage, now), style="dim"),
        )
    return table
