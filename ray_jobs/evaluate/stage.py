"""The stage, walked once: for each model of the student, answer, score, commit, next.

Adapters share one engine on the base's weights; a fully trained student has an engine a trial.
"""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from distillery.evaluations import PREDICTIONS_NAME, Evaluation
from distillery.manifests import ManifestRef, StepManifest
from distillery.progress import Phase
from distillery.stage_configs import EvaluateConfig
from distillery.tasks import PromptVariant, TargetKind
from distillery.trials import TrialRef
from ray_jobs.answering.asking import Exam, answering, ask
from ray_jobs.answering.rows import Answered, Question
from ray_jobs.answering.weights import adapter_rank, fetch_trial
from ray_jobs.engines.base import EngineSettings
from ray_jobs.engines.from_spec import engine_settings
from ray_jobs.evaluate.inputs import Inputs, read_inputs
from ray_jobs.evaluate.subjects import Subject, evaluation_hash, subjects_of
from ray_jobs.records import PredictionRow, RowStatus
from ray_jobs.scoring import score_answers
from ray_jobs.step import StepResult, StepTools, commit_step, find_manifest, read_manifest
from ray_jobs.tables import store_rows

PACKAGES = ("ray", "transformers", "torch", "pyarrow")


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
        on_base: list[tuple[Subject, str]] = []
        alone: list[tuple[TrialRef, Subject, str]] = []
        rank = 0
        for subject, prefix in waiting:
            own_rank = adapter_rank(subject.trial, self._tools) if subject.trial else 0
            if subject.trial and not own_rank:
                alone.append((subject.trial, subject, prefix))
            else:
                on_base.append((subject, prefix))
                rank = max(rank, own_rank)
        done = []
        if on_base:
            settings = engine_settings(
                self._config.settings.engine,
                max_adapters=1 if rank else 0,
                max_lora_rank=rank or 16,
            )
            with self._engine(self._inputs.base_folder, settings) as actor:
                for subject, prefix in on_base:
                    adapter = fetch_trial(subject.trial, self._tools) if subject.trial else None
                    done.append(self._one(actor, subject, prefix, adapter))
        settings = engine_settings(self._config.settings.engine)
        for trial, subject, prefix in alone:
            folder = fetch_trial(trial, self._tools)
            with self._engine(folder, settings, is_used_once=True) as actor:
                done.append(self._one(actor, subject, prefix, None))
            shutil.rmtree(folder)  # One whole model on this disk at a time.
        return done

    def _engine(
        self, folder: Path, settings: EngineSettings, *, is_used_once: bool = False
    ) -> AbstractContextManager[Any]:
        return answering(
            folder,
            settings,
            date=self._config.inputs.student.date,
            reporter=self._tools.reporter,
            is_used_once=is_used_once,
        )

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


def _budget(config: EvaluateConfig, inputs: Inputs, subject: Subject) -> int:
    if subject.variant == PromptVariant.VANILLA:
        return inputs.max_tokens
    return config.inputs.reference_max_tokens


def _student_prefix(config: EvaluateConfig) -> str:
    return config.context.prefix.rpartition("/")[0]


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
