"""The report's pictures, as SVG text to put into the page."""

import io
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from distillery.results import CONSTANT, TEACHER, TrialResult
from distillery.summaries import YieldSummary
from distillery.tasks import Arm
from distillery.trials import CurvePoint

# Okabe and Ito's palette: told apart by people who see few colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_ARM_COLOURS: dict[str, str] = {
    Arm.VANILLA: "#0072B2",
    Arm.CHAIN_OF_THOUGHT: "#D55E00",
    Arm.CHAIN_OF_DENSITY: "#D55E00",
    Arm.GOLD: "#E69F00",
}
"""The same in every picture. The base, asked whatever way, is black."""
_BLACK, _GREY = "#222222", "#8a8f98"
_LINES = ("-", "--", ":", "-.")
"""Seeds of an arm."""
_WIDTH_IN = 8.0
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)


def draw_arms(trials: Sequence[TrialResult], metric: str) -> str:
    """Every row's value with its interval, teacher and constant in grey."""
    figure, axes = _canvas(height_in=0.6 + 0.34 * len(trials))
    for place, trial in enumerate(reversed(trials)):
        is_reference = trial.student in (TEACHER, CONSTANT)
        colour = _GREY if is_reference else _ARM_COLOURS.get(trial.arm, _BLACK)
        axes.plot([trial.ci_low, trial.ci_high], [place, place], color=colour, linewidth=2.5)
        axes.plot([trial.value], [place], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(trials)), [_name(trial) for trial in reversed(trials)])
    axes.set_xlabel(f"{metric}, 95% interval")
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlim(left=min(0.0, *(trial.ci_low for trial in trials)))
    return _svg(figure)


def draw_yields(yields: Sequence[YieldSummary]) -> str:
    """How many prepared rows became usable answers, and what became of the others."""
    figure, axes = _canvas(height_in=0.9 + 0.4 * len(yields))
    names = [f"{each.split}, {each.variant}" for each in reversed(yields)]
    statuses = list(dict.fromkeys(status for each in yields for status in each.statuses))
    statuses.sort(key=lambda status: status != "ok")
    left = [0.0] * len(yields)
    for number, status in enumerate(statuses):
        widths = [each.statuses.get(status, 0) for each in reversed(yields)]
        axes.barh(names, widths, left=left, label=status, color=COLOURS[number % len(COLOURS)])
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_xlabel("rows")
    figure.legend(loc="outside upper center", ncols=6, frameon=False, fontsize=8)
    return _svg(figure)


def draw_curves(curves: Mapping[tuple[str, int], Sequence[CurvePoint]]) -> str:
    """Training loss as a line, validation loss as dots, a colour an arm, a line a seed."""
    figure, axes = _canvas(height_in=3.4)
    seeds = list(dict.fromkeys(seed for _, seed in curves))
    for (arm, seed), points in curves.items():
        colour = _ARM_COLOURS.get(arm, _BLACK)
        line = _LINES[seeds.index(seed) % len(_LINES)]
        steps = [point.step for point in points]
        label = f"{arm} seed {seed}"
        axes.plot(
            steps, [point.loss for point in points], line, color=colour, alpha=0.4, linewidth=1
        )
        measured = [point for point in points if point.validation_loss is not None]
        axes.plot(
            [point.step for point in measured],
            [point.validation_loss for point in measured],
            f"o{line}",
            color=colour,
            markersize=4,
            linewidth=1.2,
            label=label,
        )
    axes.set_xlabel("optimizer step")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("loss per trained token")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def draw_costs(seconds: Mapping[str, float], tokens: Mapping[str, int]) -> str:
    """Seconds and tokens of each part of the job, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, 0.9 + 0.34 * len(seconds)), layout="constrained")
    names = list(seconds)[::-1]
    for place, (title, values) in enumerate((("seconds", seconds), ("tokens", tokens)), start=1):
        axes = figure.add_subplot(1, 2, place)
        axes.barh(names, [values.get(name, 0) for name in names], color=COLOURS[place - 1])
        axes.set_xlabel(title)
        axes.spines[["top", "right"]].set_visible(False)
        if place == 2:
            axes.set_yticklabels([])
    return _svg(figure)


def _name(trial: TrialResult) -> str:
    if trial.student == CONSTANT:
        return "constant answer"
    seed = "" if trial.seed is None else f" seed {trial.seed}"
    return f"{trial.student} {trial.arm}{seed}"


def _canvas(*, height_in: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, max(1.4, height_in)), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # A fixed salt and no date: the same figures give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "distillery", "font.size": 9}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    # Pictures of one page share its names: each needs its own.
    name = sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(id="|"#|\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    return _METADATA.sub("", text)
