"""Reads what the other steps left: manifests, predictions, curves and the teacher's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from distillery.evaluations import PREDICTIONS_NAME, Evaluation, evaluations_of
from distillery.manifests import ManifestRef, StepManifest
from distillery.stage_configs import PublishConfig
from distillery.steps import CURATE, GENERATE, PREPARE, evaluate_step, train_step
from distillery.summaries import CurationSummary, DataSummary
from distillery.tasks import PromptVariant, TargetKind
from distillery.trials import CURVE_NAME, CurvePoint, TrialRef, trials_of
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import AnswerRow, GoldRow, PredictionRow, PromptRow
from ray_jobs.scoring import GivenAnswer, Truth, score_answers, teacher_answers, teacher_references
from ray_jobs.step import StepTools, read_manifest
from ray_jobs.tables import load_rows
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A student's: its trials, its evaluations with their predictions, its loss curves by
    (arm, seed), and the longest answer it was allowed."""

    trials: tuple[TrialRef, ...]
    evaluations: tuple[tuple[Evaluation, list[PredictionRow]], ...]
    curves: dict[tuple[str, int], list[CurvePoint]]
    max_tokens: int


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything the report is made of. ``teacher`` maps prompt variant to its scored answers;
    ``constant`` is the best single answer and its score, where a constant makes sense."""

    task: Task
    rows: list[PromptRow]
    truth: Truth
    data: DataSummary
    curation: CurationSummary
    generation: dict[str, object]
    teacher: dict[PromptVariant, list[PredictionRow]]
    teacher_answers: list[AnswerRow]
    constant: tuple[str, list[PredictionRow]] | None
    students: dict[str, Findings]
    versions: dict[str, str] = field(default_factory=dict)


def gather(config: PublishConfig, tools: StepTools) -> Gathered:
    """Everything ``config.context.upstream`` names, read and checked against its manifests."""
    reader = _Reader(config, tools)
    inputs = config.inputs
    task = make_task(inputs.task, TaskOptions(labels=inputs.labels, prompts=inputs.prompts))
    rows = reader.rows(PREPARE.id, "prompts/test.parquet", PromptRow)
    gold = reader.rows(PREPARE.id, "gold/test.parquet", GoldRow)
    generation = reader.manifest(GENERATE.id)
    variants = config.settings.spec.teacher.prompts
    answers = {
        variant: reader.rows(GENERATE.id, f"reference/test-{variant}.parquet", AnswerRow)
        for variant in variants
    }
    vanilla = answers.get(PromptVariant.VANILLA, [])
    truth = Truth(gold={row.row_id: row for row in gold}, references=teacher_references(vanilla))
    return Gathered(
        task=task,
        rows=rows,
        truth=truth,
        data=DataSummary.model_validate(reader.manifest(PREPARE.id).summary),
        curation=CurationSummary.model_validate(reader.manifest(CURATE.id).summary),
        generation=generation.summary,
        teacher={
            variant: score_answers(
                task, rows, teacher_answers(given, variant=variant), truth=truth, form=variant
            )
            for variant, given in answers.items()
        },
        teacher_answers=[row for given in answers.values() for row in given],
        constant=_constant(task, rows, truth),
        students={
            name: reader.findings(name)
            for name in inputs.students
            if name not in config.settings.failed_students
        },
        versions=reader.versions(),
    )


def _constant(
    task: Task, rows: Sequence[PromptRow], truth: Truth
) -> tuple[str, list[PredictionRow]] | None:
    answer = task.constant_answer(list(truth.gold.values()))
    if answer is None:
        return None
    given = GivenAnswer(text=answer, finish_reason=FinishReason.STOP)
    answers = {(row.row_id, turn): given for row in rows for turn in range(task.num_turns(row))}
    return answer, score_answers(task, rows, answers, truth=truth, form=TargetKind.ANSWER_ONLY)


class _Reader:
    def __init__(self, config: PublishConfig, tools: StepTools) -> None:
        self._upstream = config.context.upstream
        self._tools = tools

    def manifest(self, step: str) -> StepManifest:
        return read_manifest(self._tools.storage, self._upstream[step])

    def rows(self, step: str, path: str, row_type: type[T]) -> list[T]:
        return self._load(self._upstream[step], path, row_type)

    def findings(self, student: str) -> Findings:
        evaluated = self.manifest(evaluate_step(student).id)
        trials = trials_of(self.manifest(train_step(student).id))
        return Findings(
            trials=trials,
            evaluations=tuple(
                (evaluation, self._load(evaluation.manifest, PREDICTIONS_NAME, PredictionRow))
                for evaluation in evaluations_of(evaluated)
            ),
            curves={(trial.arm.value, trial.seed): self._curve(trial) for trial in trials},
            max_tokens=int(evaluated.summary["maxTokens"]),
        )

    def versions(self) -> dict[str, str]:
        merged: dict[str, str] = {}
        for ref in self._upstream.values():
            merged |= read_manifest(self._tools.storage, ref).versions
        return dict(sorted(merged.items()))

    def _load(self, ref: ManifestRef, path: str, row_type: type[T]) -> list[T]:
        manifest = read_manifest(self._tools.storage, ref)
        scratch = self._tools.scratch / ref.sha256[:12]
        return load_rows(self._tools.storage, ref.prefix, manifest, path, row_type, scratch=scratch)

    def _curve(self, trial: TrialRef) -> list[CurvePoint]:
        text = self._tools.storage.get_bytes(f"{trial.prefix}/{CURVE_NAME}").decode()
        return [CurvePoint.model_validate_json(line) for line in text.splitlines() if line]
