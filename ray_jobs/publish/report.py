"""The report: one HTML file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from distillery.results import Results
from distillery.spec.job import JobSpec
from distillery.tasks import Arm, PromptVariant
from ray_jobs.engines.base import FinishReason
from ray_jobs.publish.gathering import Gathered
from ray_jobs.publish.plots import draw_arms, draw_costs, draw_curves, draw_yields
from ray_jobs.publish.promotion import describe_choice
from ray_jobs.records import PredictionRow, RowStatus

NUM_EXAMPLES = 8
MAX_EXAMPLE_CHARS = 1500
_RIGHT_OR_WRONG = ("accuracy", "exact_match")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One test row as teacher and students answered it. ``answers`` are (who, text, status)."""

    question: str
    gold: str
    reasoning: str
    answers: tuple[tuple[str, str, str], ...]


def build_report(results: Results, gathered: Gathered, spec: JobSpec) -> str:
    """The page as HTML. All texts of data and models are escaped."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("ray_jobs.publish"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}%"
    curves = {
        student: draw_curves(findings.curves) for student, findings in gathered.students.items()
    }
    return environment.get_template("report.html.j2").render(
        results=results,
        num_rows=len(gathered.rows),
        metric_names=list(dict.fromkeys(n for t in results.trials for n in t.other_metrics)),
        spec=spec,
        spec_yaml=yaml.safe_dump(spec.dump(), sort_keys=False, allow_unicode=True),
        data=gathered.data,
        curation=gathered.curation,
        generation=gathered.generation,
        constant=gathered.constant[0] if gathered.constant else None,
        versions=gathered.versions,
        arms_plot=draw_arms(results.trials, results.metric),
        yields_plot=draw_yields(gathered.curation.yields),
        costs_plot=draw_costs(
            {cost.step: cost.seconds for cost in results.costs},
            {cost.step: cost.num_tokens for cost in results.costs},
        ),
        curves=curves,
        choices={
            each.student: describe_choice(gathered.students[each.student].trials, each.arm)
            for each in results.promotions
        },
        examples=choose_examples(gathered),
    )


def choose_examples(gathered: Gathered) -> list[Example]:
    """The first test rows where the models disagree, then the first ones, so that the examples
    show something; texts are cut for the page."""
    by_row = _answers_by_row(gathered)
    rows = sorted(
        gathered.rows, key=lambda row: len({status for _, _, status in by_row[row.row_id]}) == 1
    )
    return [
        Example(
            question=_cut("\n".join(m.content for m in row.messages if m.role == "user")),
            gold=gathered.truth.gold[row.row_id].gold if row.row_id in gathered.truth.gold else "",
            reasoning=_reasoning(gathered, row.row_id),
            answers=tuple(by_row[row.row_id]),
        )
        for row in rows[:NUM_EXAMPLES]
    ]


def _answers_by_row(gathered: Gathered) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {row.row_id: [] for row in gathered.rows}
    sources: list[tuple[str, Sequence[PredictionRow]]] = [
        (f"teacher {variant}", rows) for variant, rows in gathered.teacher.items()
    ]
    for student, findings in gathered.students.items():
        for evaluation, rows in findings.evaluations:
            seed = "" if evaluation.seed is None else f" seed {evaluation.seed}"
            is_shown = evaluation.variant == PromptVariant.VANILLA
            first_seed = findings.trials[0].seed
            if is_shown and (evaluation.arm == Arm.BASE or evaluation.seed == first_seed):
                sources.append((f"{student} {evaluation.arm}{seed}", rows))
    for who, predictions in sources:
        for row in predictions:
            found[row.row_id].append((who, _cut(row.answer or row.text), _verdict(gathered, row)))
    return found


def _verdict(gathered: Gathered, row: PredictionRow) -> str:
    """``right`` or ``wrong`` where the metric knows no third, else its value; a status not OK."""
    if row.status is not RowStatus.OK:
        return row.status.value
    score = dict(row.scores)[gathered.task.primary_metric]
    if gathered.task.primary_metric in _RIGHT_OR_WRONG:
        return "right" if score else "wrong"
    return f"{score:.2f}"


def _reasoning(gathered: Gathered, row_id: str) -> str:
    """The teacher's own chain for the row, where a reasoning prompt ran; all of an answer that
    can't be read."""
    for answer in gathered.teacher_answers:
        if answer.row_id == row_id and answer.variant != PromptVariant.VANILLA:
            row = next(row for row in gathered.rows if row.row_id == row_id)
            finish = FinishReason(answer.finish_reason or FinishReason.ERROR)
            variant = PromptVariant(answer.variant)
            parsed = gathered.task.parse_teacher(answer.text, row, variant, finish)
            return _cut(parsed.reason or answer.text)
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= MAX_EXAMPLE_CHARS else text[:MAX_EXAMPLE_CHARS] + " ..."
