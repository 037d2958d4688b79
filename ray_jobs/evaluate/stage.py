"""The stage, walked once: for each model of the student, answer, score, commit, next.

Adapters share one engine on the base's weights; a fully trained student has an engine a trial.
"""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from distillery.evaluations import PREDICTIONS_NAME, Evaluation
from distillery.manifests import ManifestRef, StepManifest
from distillery.progress import Phase
from distillery.stage_configs import EvaluateConfig
from distillery.tasks import PromptVariant, TargetKind
from distillery.trials import WEIGHTS_FOLDER, TrialRef
from ray_jobs.answering.asking import Exam, answering, ask
from ray_jobs.answering.rows import Answered, Question
from ray_jobs.engines.base import EngineSettings
from ray_jobs.engines.from_spec import engine_settings
from ray_jobs.evaluate.inputs import Inputs, read_inputs
from ray_jobs.evaluate.subjects import Subject, evaluation_hash, subjects_of
from ray_jobs.records import PredictionRow, RowStatus
from ray_jobs.scoring import score_answers
from ray_jobs.step import StepResult, StepTools, commit_step, find_manifest, read_manifest
from ray_jobs.storage.artefacts import download_folder
from ray_jobs.tables import store_rows

PACKAGES = ("ray", "transformers", "torch", "pyarrow")
ADAPTER_CONFIG = "adapter_config.json"


def run(config: EvaluateConfig, tools: StepTools) -> StepResult:
    """Every model's predictions and metrics, each committed as it is done.

    Raises:
        SpecError: The models', renderer's and task's own.
        ResourceError, ExternalError: An engine can't be made, or died.
    """
    tools.reporter.phase(Phase.STARTING)
    inputs = read_inputs(config, tools)
    evaluations = []
    waiting: list[tuple[Subject, str]] = []
    for subject in subjects_of(inputs.trials, config.inputs.base_variants):
        digest = evaluation_hash(
            subject,
            config.inputs,
            max_tokens=_budget(config, inputs, subject),
            data=inputs.data_hashes,
        )
        prefix = f"{_student_prefix(config)}/models/{digest}"
        done = find_manifest(tools.storage, prefix)
        if done is None:
            waiting.append((subject, prefix))
        else:
            evaluations.append((subject, _read_evaluation(tools, subject, done)))
    evaluations += _Evaluator(config, tools, inputs).evaluate(waiting)
    order = {
        subject: place
        for place, subject in enumerate(subjects_of(inputs.trials, config.inputs.base_variants))
    }
    ordered = [item for _, item in sorted(evaluations, key=lambda pair: order[pair[0]])]
    return StepResult(
        artefacts=(),
        summary={
            "maxTokens": inputs.max_tokens,
            "templateHash": config.inputs.student.template_hash,
            "evaluations": [item.dump() for item in ordered],
        },
        packages=PACKAGES,
    )


class _Evaluator:
    """Answers and commits the models that are not done, with as few engines as can be."""

    def __init__(self, config: EvaluateConfig, tools: StepTools, inputs: Inputs) -> None:
        self._config = config
        self._tools = tools
        self._inputs = inputs
        self._exam = Exam(
            task=config.inputs.task,
            labels=config.inputs.labels,
            prompts=config.inputs.prompts,
            rows=inputs.rows,
            num_turns=sum(inputs.task.num_turns(row) for row in inputs.rows),
        )

    def evaluate(self, waiting: list[tuple[Subject, str]]) -> list[tuple[Subject, Evaluation]]:
        on_base: list[tuple[Subject, str, Path | None]] = []
        alone: list[tuple[Subject, str, Path]] = []
        rank = 0
        for subject, prefix in waiting:
            folder = self._fetch_weights(subject.trial) if subject.trial else None
            if folder is None or (folder / ADAPTER_CONFIG).is_file():
                on_base.append((subject, prefix, folder))
                rank = max(rank, _adapter_rank(folder))
            else:
                alone.append((subject, prefix, folder))
        done = []
        if on_base:
            settings = engine_settings(
                self._config.settings.engine,
                max_adapters=1 if rank else 0,
                max_lora_rank=rank or 16,
            )
            with self._engine(self._inputs.base_folder, settings) as actor:
                done += [self._one(actor, *item) for item in on_base]
        settings = engine_settings(self._config.settings.engine)
        for subject, prefix, folder in alone:
            with self._engine(folder, settings) as actor:
                done.append(self._one(actor, subject, prefix, None))
        return done

    def _engine(self, folder: Path, settings: EngineSettings) -> AbstractContextManager[Any]:
        date = self._config.inputs.student.date
        return answering(folder, settings, date=date, reporter=self._tools.reporter)

    def _one(
        self, actor: Any, subject: Subject, prefix: str, adapter: Path | None
    ) -> tuple[Subject, Evaluation]:
        answered = self._answer(actor, subject, adapter)
        form: TargetKind | PromptVariant = (
            self._config.inputs.target if subject.trial else subject.variant
        )
        predictions = score_answers(
            self._inputs.task,
            self._inputs.rows,
            answered.answers,
            truth=self._inputs.truth,
            form=form,
        )
        return subject, self._commit(subject, prefix, predictions, answered.seconds)

    def _answer(self, actor: Any, subject: Subject, adapter: Path | None) -> Answered:
        question = Question(
            variant=subject.variant,
            max_tokens=_budget(self._config, self._inputs, subject),
            adapter=str(adapter) if adapter else None,
        )
        return ask(actor, self._exam, question, label=subject.label, reporter=self._tools.reporter)

    def _commit(
        self, subject: Subject, prefix: str, predictions: list[PredictionRow], seconds: float
    ) -> Evaluation:
        context = self._config.context
        artefact = store_rows(
            self._tools.storage,
            prefix,
            PREDICTIONS_NAME,
            predictions,
            PredictionRow,
            scratch=self._tools.scratch / "out",
        )
        summary = {
            "metrics": self._inputs.task.summarise(predictions, self._inputs.truth.gold),
            "numRows": len(self._inputs.rows),
            "numUnparsable": sum(row.status != RowStatus.OK for row in predictions),
            "numTokens": sum(row.num_tokens for row in predictions),
            "seconds": round(seconds, 3),
        }
        ref = commit_step(
            self._tools.storage,
            prefix=prefix,
            manifest=StepManifest(
                job=context.job,
                namespace=context.namespace,
                step=f"{context.step} {subject.label}",
                input_hash=prefix.rpartition("/")[2],
                artefacts=(artefact,),
                versions={},
                inputs={},
                summary=summary,
            ),
        )
        return _read_evaluation(self._tools, subject, ref)

    def _fetch_weights(self, trial: TrialRef) -> Path:
        """The trial's weights in a local folder, its adapter or the whole model."""
        manifest = read_manifest(self._tools.storage, trial.manifest)
        folder = self._tools.scratch / "weights" / f"{trial.arm}-{trial.seed}-{trial.sha256[:12]}"
        inside = f"{WEIGHTS_FOLDER}/"
        weights = tuple(
            artefact for artefact in manifest.artefacts if artefact.path.startswith(inside)
        )
        download_folder(self._tools.storage, trial.prefix, folder, weights)
        return folder / WEIGHTS_FOLDER


def _budget(config: EvaluateConfig, inputs: Inputs, subject: Subject) -> int:
    if subject.variant == PromptVariant.VANILLA:
        return inputs.max_tokens
    return config.inputs.reference_max_tokens


def _student_prefix(config: EvaluateConfig) -> str:
    return config.context.prefix.rpartition("/")[0]


def _adapter_rank(folder: Path | None) -> int:
    if folder is None:
        return 0
    return int(json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))["r"])


def _read_evaluation(tools: StepTools, subject: Subject, ref: ManifestRef) -> Evaluation:
    summary = read_manifest(tools.storage, ref).summary
    return Evaluation(
        arm=subject.arm,
        seed=subject.seed,
        variant=subject.variant,
        prefix=ref.prefix,
        sha256=ref.sha256,
        metrics=summary["metrics"],
        num_rows=summary["numRows"],
        num_unparsable=summary["numUnparsable"],
        num_tokens=summary["numTokens"],
        seconds=summary["seconds"],
    )
