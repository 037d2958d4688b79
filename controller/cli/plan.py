"""``distillery plan``: does the teacher fit, how long, how much, before anything is started.

Here are shapes and amounts found out and the plan printed; the arithmetic is
``distillery.sizing``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

from rich.table import Table
from rich.text import Text

from controller.cli.progress_text import duration
from controller.cli.views import make_console
from distillery.errors import SpecError
from distillery.sizing.efficiencies import DEFAULT_EFFICIENCY
from distillery.sizing.estimates import ANSWER_SHARE, PROMPT_TOKENS, Amounts
from distillery.sizing.known import KnownModel, known_by_config, known_by_name
from distillery.sizing.plans import NOT_CALIBRATED, JobPlan, LayoutPlan, plan_job
from distillery.sizing.shape_table import SHAPES
from distillery.spec.dataset import DataFormat, DataSource
from distillery.spec.gpus import GpuKind
from distillery.spec.job import JobSpec
from distillery.validation.sizing import find_sizing_problems

EXIT_OK = 0
EXIT_FAILED = 1
SPLITS = ("train", "validation", "test")
_FILE = "file://"


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the command was told besides the job. ``rows`` are prepared rows by split."""

    rows: Mapping[str, int]
    prompt_tokens: float | None
    answer_tokens: float | None
    as_json: bool


def show_plan(spec: JobSpec, options: PlanOptions, out: TextIO) -> int:
    """Prints the plan. Exit code 1 where the job, as it is, doesn't fit.

    Raises:
        SpecError: The kind of GPU, a model's shape or a number of rows isn't known.
    """
    plan = make_plan(spec, options)
    if options.as_json:
        out.write(json.dumps(plan.dump(), indent=2) + "\n")
    else:
        _print(plan, out)
    return EXIT_FAILED if plan.problems else EXIT_OK


def make_plan(spec: JobSpec, options: PlanOptions) -> JobPlan:
    """The job's plan. Raises as ``show_plan``."""
    if spec.runtime.gpus is None:
        raise SpecError(
            "spec.runtime.gpus: a plan needs the kind of GPU, got nothing; set it, or use "
            f"--set runtime.gpus.kind=KIND ({', '.join(GpuKind)})"
        )
    teacher = _find_model(spec.teacher.model.uri)
    if teacher is None:
        raise SpecError(
            f"spec.teacher.model.uri: its shape isn't known, got {spec.teacher.model.uri[-80:]}; "
            "name a folder with its config.json, or a model such as "
            f"{', '.join(list(SHAPES)[:2])}",
            reason="ShapeUnknown",
        )
    return plan_job(
        spec,
        spec.runtime.gpus,
        teacher=teacher,
        knows=_find_model,
        amounts=_find_amounts(spec, options),
        efficiency=DEFAULT_EFFICIENCY,
        problems=[str(problem) for problem in find_sizing_problems(spec, _find_model)],
    )


def parse_rows(texts: Sequence[str]) -> dict[str, int]:
    """``train=2000`` each. Raises ``SpecError``."""
    rows = {}
    for text in texts:
        split, _, number = text.partition("=")
        if split not in SPLITS or not number.isdecimal():
            raise SpecError(
                f"--rows: must look like split=number, got '{text[:80]}'; for example train=2000 "
                f"(splits are {', '.join(SPLITS)})"
            )
        rows[split] = int(number)
    return rows


def _find_model(uri: str) -> KnownModel | None:
    """By the folder's config.json where it is on this machine, else by the model's name."""
    config = _read_config(uri)
    if config is None:
        return known_by_name(uri)
    return known_by_config(config, name=unquote(uri.rpartition("/")[2]))


def _read_config(uri: str) -> Mapping[str, Any] | None:
    if not uri.startswith(_FILE):
        return None
    path = Path(unquote(uri.removeprefix(_FILE))) / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SpecError(
            f"{str(path)[-120:]}: must be a model's config, got {type(error).__name__}; "
            "copy the model again",
            reason="ModelUnreadable",
        ) from error
    return config if isinstance(config, dict) else None


def _find_amounts(spec: JobSpec, options: PlanOptions) -> Amounts:
    rows = {
        split: options.rows[split]
        if split in options.rows
        else _count_rows(getattr(spec.dataset, split), split)
        for split in SPLITS
    }
    answer_tokens = options.answer_tokens or ANSWER_SHARE * spec.teacher_max_tokens
    return Amounts(
        num_train=rows["train"],
        num_validation=rows["validation"],
        num_test=rows["test"],
        prompt_tokens=options.prompt_tokens or PROMPT_TOKENS,
        answer_tokens=answer_tokens,
    )


def _count_rows(source: DataSource, split: str) -> int:
    """``maxRows``, or the lines of a file on this machine that has one a row, if fewer."""
    num_lines = _count_lines(source)
    known = [number for number in (source.max_rows, num_lines) if number is not None]
    if not known:
        raise SpecError(
            f"spec.dataset.{split}: its number of rows isn't known, got {source.uri[-80:]}; "
            f"use --rows {split}=NUMBER"
        )
    return min(known)


def _count_lines(source: DataSource) -> int | None:
    is_lines = source.format == DataFormat.JSONL or source.uri.endswith(".jsonl")
    if not is_lines or not source.uri.startswith(_FILE):
        return None
    try:
        with Path(unquote(source.uri.removeprefix(_FILE))).open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError:
        return None


def _print(plan: JobPlan, out: TextIO) -> None:
    console = make_console(out)
    teacher = plan.teacher
    console.print(
        Text(
            f"{teacher.model}, {teacher.weights} weights ({teacher.weight_gib:,.0f} GiB), "
            f"{teacher.kv_cache} cache, on {plan.gpu}, {plan.gpus_per_node} a node"
        )
    )
    console.print(_layout_table(plan))
    doubt = "" if teacher.is_calibrated else f", {NOT_CALIBRATED} for such a model"
    console.print(Text(f"speeds: efficiencies of {teacher.efficiency}{doubt}"))
    if plan.steps:
        console.print(_step_table(plan))
    assumed = plan.assumed
    console.print(
        Text(
            f"assumed: {assumed.train_rows:,} train, {assumed.validation_rows:,} validation and "
            f"{assumed.test_rows:,} test rows, prompts of {assumed.prompt_tokens:,.0f} and "
            f"answers of {assumed.answer_tokens:,.0f} tokens on average "
            "(--rows, --prompt-tokens, --answer-tokens); start-up and downloads come on top"
        )
    )
    for problem in plan.problems:
        console.print(Text(f"refused: {problem}", style="red"), soft_wrap=True)


def _layout_table(plan: JobPlan) -> Table:
    table = Table(
        title="layouts of a replica, the fastest for each GPU first", title_justify="left"
    )
    for name in ("", "layout"):
        table.add_column(name, no_wrap=True)
    for name in ("GPUs", "KV cache tokens", "in flight", "tokens/s", "tokens/s a GPU"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why not")
    chosen = plan.teacher.chosen
    for layout in plan.teacher.layouts:
        table.add_row(*(Text(cell) for cell in _layout_cells(layout, "")))
    if chosen is not None:
        table.add_section()
        table.add_row(*(Text(cell) for cell in _layout_cells(chosen, "this job")))
    return table


def _layout_cells(layout: LayoutPlan, mark: str) -> tuple[str, ...]:
    name = f"TP{layout.tensor_parallel} x PP{layout.pipeline_parallel}"
    if not layout.fits:
        return (mark, name, str(layout.num_gpus), "", "", "", "", layout.problem)
    speed = layout.output_tokens_per_second
    return (
        mark,
        name,
        str(layout.num_gpus),
        f"{layout.kv_tokens:,}",
        f"{layout.num_in_flight:,}",
        f"{speed:,.0f}",
        f"{speed / layout.num_gpus:,.0f}",
        "",
    )


def _step_table(plan: JobPlan) -> Table:
    table = Table(title="steps on GPUs", title_justify="left")
    table.add_column("step", no_wrap=True)
    for name in ("GPUs", "time", "GPU hours"):
        table.add_column(name, justify="right", no_wrap=True)
    if plan.cost_usd is not None:
        table.add_column("cost", justify="right", no_wrap=True)
    for step in plan.steps:
        table.add_row(
            *_step_cells(step.step, str(step.num_gpus), step.seconds, step.gpu_hours, step.cost_usd)
        )
    table.add_section()
    table.add_row(
        *_step_cells("together", "", plan.duration_seconds, plan.gpu_hours, plan.cost_usd)
    )
    return table


def _step_cells(
    name: str, num_gpus: str, seconds: float, gpu_hours: float, cost_usd: float | None
) -> list[Text]:
    cells = [name, num_gpus, duration(seconds), f"{gpu_hours:,.1f}"]
    if cost_usd is not None:
        cells.append(f"${cost_usd:,.2f}")
    return [Text(cell) for cell in cells]
