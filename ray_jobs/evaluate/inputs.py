"""What the stage reads: test rows, their truth, the student's base, trials and target lengths."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distillery.errors import SpecError
from distillery.stage_configs import EvaluateConfig, TargetSet
from distillery.steps import CURATE, GENERATE, PREPARE, train_step
from distillery.tasks import PromptVariant
from distillery.trials import TrialRef, trials_of
from ray_jobs.evaluate.budget import answer_budget
from ray_jobs.models import fetch_model, model_cache
from ray_jobs.records import AnswerRow, GoldRow, PromptRow, TargetRow
from ray_jobs.rendering import Renderer
from ray_jobs.scoring import Truth, teacher_references
from ray_jobs.step import StepTools, read_manifest
from ray_jobs.tables import find_artefact, load_rows
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task

T = TypeVar("T")

PROMPTS_PATH = "prompts/test.parquet"
GOLD_PATH = "gold/test.parquet"
REFERENCE_PATH = f"reference/test-{PromptVariant.VANILLA}.parquet"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """``data_hashes`` maps each file of test rows to its SHA-256; ``max_tokens`` is the longest
    answer to the vanilla prompt."""

    rows: list[PromptRow]
    truth: Truth
    task: Task
    trials: tuple[TrialRef, ...]
    base_folder: Path
    max_tokens: int
    data_hashes: dict[str, str]


def read_inputs(config: EvaluateConfig, tools: StepTools) -> Inputs:
    """Everything the stage starts from.

    Raises:
        SpecError: ``TemplateChanged``: the student's chat template isn't the one it was trained
            with; the model's, renderer's and task's own.
    """
    inputs, context = config.inputs, config.context
    trials_ref = context.upstream[train_step(context.student).id]
    trials = trials_of(read_manifest(tools.storage, trials_ref))
    folder = fetch_model(inputs.student, context.storage, model_cache(context))
    renderer = Renderer.from_folder(folder, date=inputs.student.date or None)
    if renderer.template_hash != inputs.student.template_hash:
        raise SpecError(
            f"student {context.student}: its chat template must be the one it was trained with "
            f"({inputs.student.template_hash[:12]}), got {renderer.template_hash[:12]}; "
            "run the job again",
            reason="TemplateChanged",
        )
    prepare = read_manifest(tools.storage, context.upstream[PREPARE.id])
    generate = read_manifest(tools.storage, context.upstream[GENERATE.id])
    references: dict[tuple[str, int], str] = {}
    hashes = {
        path: find_artefact(prepare.artefacts, path).sha256 for path in (PROMPTS_PATH, GOLD_PATH)
    }
    if any(artefact.path == REFERENCE_PATH for artefact in generate.artefacts):
        hashes[REFERENCE_PATH] = find_artefact(generate.artefacts, REFERENCE_PATH).sha256
        answers = _load(config, tools, GENERATE.id, REFERENCE_PATH, AnswerRow)
        references = teacher_references(answers)
    gold = _load(config, tools, PREPARE.id, GOLD_PATH, GoldRow)
    return Inputs(
        rows=_load(config, tools, PREPARE.id, PROMPTS_PATH, PromptRow),
        truth=Truth(gold={row.row_id: row for row in gold}, references=references),
        task=make_task(inputs.task, TaskOptions(labels=inputs.labels, prompts=inputs.prompts)),
        trials=trials,
        base_folder=folder,
        max_tokens=inputs.max_tokens or _derive_budget(config, tools, renderer, trials),
        data_hashes=hashes,
    )


def _derive_budget(
    config: EvaluateConfig, tools: StepTools, renderer: Renderer, trials: tuple[TrialRef, ...]
) -> int:
    """1.5 x the 99th percentile of the longest turn of each target, over this student's arms."""
    lengths: list[int] = []
    for arm in dict.fromkeys(trial.arm for trial in trials):
        name = TargetSet(arm=arm, kind=config.inputs.target).name
        rows = _load(config, tools, CURATE.id, f"targets/{name}/train.parquet", TargetRow)
        lengths += [_longest_turn(renderer, row) for row in rows]
    return answer_budget(lengths)


def _longest_turn(renderer: Renderer, row: TargetRow) -> int:
    longest = run = 0
    for bears_loss in renderer.training_example(row.messages).mask:
        run = run + 1 if bears_loss else 0
        longest = max(longest, run)
    return longest


def _load(
    config: EvaluateConfig, tools: StepTools, step: str, path: str, row_type: type[T]
) -> list[T]:
    ref = config.context.upstream[step]
    manifest = read_manifest(tools.storage, ref)
    return load_rows(tools.storage, ref.prefix, manifest, path, row_type, scratch=tools.scratch)
