"""Model and data cards in the hub's format: YAML front matter, then what a user must know."""

from typing import Any

import yaml

from distillery.results import Promotion, Results
from distillery.spec.job import JobSpec
from ray_jobs.publish.gathering import Gathered

METHOD = "arXiv 2410.18588"


def build_model_card(
    results: Results, promotion: Promotion, spec: JobSpec, *, choice: str, num_test_rows: int
) -> str:
    """The ``README.md`` beside a student's published weights. The figure on it is the published
    weights', evaluated again.

    Args:
        choice: How the seed was chosen, as ``promotion.describe_choice`` says it.
    """
    student = spec.student(promotion.student)
    value = promotion.merged_value
    head: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["distillation", "synthetic-data", spec.task.value.lower()],
    }
    if student.model.uri.startswith("hf://"):
        head["base_model"] = student.model.uri.removeprefix("hf://")
    rows = "\n".join(
        f"| {trial.student} | {trial.arm} | {'' if trial.seed is None else trial.seed} "
        f"| {trial.value:.3f} | {trial.ci_low:.3f} to {trial.ci_high:.3f} |"
        for trial in results.trials
        if trial.student in (promotion.student, "teacher", "constant")
    )
    figure = "" if value is None else f"`{results.metric}` of these weights: **{value:.3f}**.\n"
    return f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---
# {promotion.student}: {promotion.arm} seed {promotion.seed}

Distilled for {spec.task} from the answers of {spec.teacher.model.uri.rpartition("/")[2]},
after the method of {METHOD}. Of the arm's trials this is {choice}; the test rows chose nothing.

{figure}
| model | arm | seed | {results.metric} | 95% interval |
|---|---|---|---|---|
{rows}

Measured on {num_test_rows} test rows, greedy, with the vanilla prompt the model was trained on.

{_bullets(results.notes)}
The licences of base model, teacher and data apply; this card grants none.
"""


def build_data_card(results: Results, gathered: Gathered, spec: JobSpec) -> str:
    """The card of the synthetic training rows."""
    head = {"tags": ["synthetic", "distillation"], "task_categories": ["text-generation"]}
    sets = "\n".join(
        f"| {each.name} | {each.num_train} | {each.num_validation} |"
        for each in gathered.curation.target_sets
    )
    yields = "\n".join(
        f"| {each.split} | {each.variant} | {each.num_rows} | {each.num_ok} |"
        for each in gathered.curation.yields
    )
    return f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---
# Training rows of {results.job}

Prompts of the job's data, answered by {spec.teacher.model.uri.rpartition("/")[2]} (synthetic
text: it can be wrong). The answer alone is the target unless the set's name says otherwise.

| rows (arm and form) | train | validation |
|---|---|---|
{sets}

| split | prompt | asked | usable |
|---|---|---|---|
{yields}

{_bullets(gathered.data.notes)}
"""


def _bullets(notes: tuple[str, ...]) -> str:
    return "\n".join(f"- {note}" for note in notes) + "\n" if notes else ""
