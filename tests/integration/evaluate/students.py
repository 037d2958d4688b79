"""A job up to evaluate, made by hand: a tiny student's trials and everything that evaluate reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from distillery.manifests import ManifestRef, StepManifest, step_prefix
from distillery.progress import Progress, parse_record
from distillery.spec.job import DistillationJob
from distillery.spec.teacher import ModelRef
from distillery.stage_configs import EvaluateConfig
from distillery.step_configs import Known, Place, build_config
from distillery.steps import CURATE, GENERATE, PREPARE, evaluate_step, train_step
from distillery.tasks import Arm
from distillery.trials import WEIGHTS_FOLDER, TrialRef
from ray_jobs.evaluate.stage import run
from ray_jobs.models import pin_model
from ray_jobs.progress import Reporter
from ray_jobs.records import AnswerRow, GoldRow, Message, PromptRow, Split, TargetRow
from ray_jobs.step import StepResult, StepTools, commit_step
from ray_jobs.storage.artefacts import upload_folder
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import store_rows
from tests.builders import make_job
from tests.rows import make_answer, make_pin

SYSTEM = Message(role="system", content="Number only.")
TRANSFORMERS = {"type": "transformers", "batchSize": 4}
VLLM = {"type": "vllm", "maxNumSeqs": 4, "kvCacheGib": 0.05, "enforceEager": True}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Local folders: the student as it was, a whole model trained from it, two adapters of it."""

    base: Path
    whole: Path
    adapter: Path
    other_adapter: Path


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run's result and the labels of its parts, ``loading`` where a model was loaded."""

    result: StepResult
    labels: list[str]


class Student:
    """The job of one test: MATH with ``dialogues`` left out, CONVERSATION with them."""

    def __init__(
        self,
        root: Path,
        weights: Weights,
        engine: dict[str, Any],
        *,
        dialogues: Sequence[PromptRow] = (),
        **changes: Any,
    ) -> None:
        self.root = root
        self.weights = weights
        self.rows = list(dialogues) or make_sums()
        if dialogues:
            changes |= {
                "task": "CONVERSATION",
                "teacher__prompts": ["Vanilla"],
                "students__0__arms": ["Vanilla"],
            }
        self.job = make_job(
            storage__uri=(root / "store").as_uri(),
            students__0__model={"uri": weights.base.as_uri()},
            evaluation__engine=engine,
            **changes,
        )
        self.storage = open_storage(self.job.spec.storage.uri)
        self._upstream = {
            PREPARE.id: self._prepare(),
            GENERATE.id: self._generate(),
            CURATE.id: self._curate(),
        }

    def trial(self, arm: Arm, seed: int, folder: Path) -> TrialRef:
        """A finished trial with the weights in ``folder``."""
        label = f"{train_step('small').id}/trials/{arm}-{seed}"
        prefix = _prefix(self.job, label)
        artefacts = upload_folder(self.storage, f"{prefix}/{WEIGHTS_FOLDER}", folder)
        inside = [
            each.model_copy(update={"path": f"{WEIGHTS_FOLDER}/{each.path}"}) for each in artefacts
        ]
        ref = self._commit(label, {}, inside)
        return TrialRef(
            arm=arm, seed=seed, prefix=prefix, sha256=ref.sha256, best_step=1, num_steps=1,
            seconds=1, tokens=1,
        )  # fmt: skip

    def config(self, trials: Sequence[TrialRef], **pin_changes: str) -> EvaluateConfig:
        label = f"{train_step('small').id}-{len(trials)}"
        train = self._commit(label, {"trials": [trial.dump() for trial in trials]}, ())
        pin = pin_model(
            ModelRef(uri=self.weights.base.as_uri()), self.job.spec.storage, self.root / "cache"
        )
        known = Known(
            pins={
                "teacher": make_pin("teacher"),
                "students/small": pin.model_copy(update=pin_changes),
            },
            manifests={**self._upstream, train_step("small").id: train},
        )
        config = build_config(
            evaluate_step("small"),
            self.job,
            known,
            place=Place(scratch_dir=str(self.root / "scratch")),
            attempt=1,
        )
        assert isinstance(config, EvaluateConfig)
        return config

    def evaluate(self, config: EvaluateConfig) -> Ran:
        out = StringIO()
        scratch = self.root / "scratch" / "evaluate"
        tools = StepTools(storage=self.storage, reporter=Reporter(out=out), scratch=scratch)
        result = run(config, tools)
        records = [parse_record(line) for line in out.getvalue().splitlines()]
        labels = [record.label for record in records if isinstance(record, Progress)]
        return Ran(result=result, labels=[label for label in dict.fromkeys(labels) if label])

    def _prepare(self) -> ManifestRef:
        prefix = _prefix(self.job, PREPARE.id)
        is_math = self.job.spec.task == "MATH"
        gold = [GoldRow(row_id=row.row_id, gold="8") for row in self.rows if is_math]
        artefacts = [
            self._store(prefix, "prompts/test.parquet", self.rows, PromptRow),
            self._store(prefix, "gold/test.parquet", gold, GoldRow),
        ]
        return self._commit(PREPARE.id, {}, artefacts)

    def _generate(self) -> ManifestRef:
        prefix = _prefix(self.job, GENERATE.id)
        answers = [
            make_answer(row.row_id, "yes 5 coins", split=Split.TEST, turn=turn)
            for row in self.rows
            for turn in range(sum(message.role == "user" for message in row.messages))
        ]
        path = "reference/test-Vanilla.parquet"
        return self._commit(GENERATE.id, {}, [self._store(prefix, path, answers, AnswerRow)])

    def _curate(self) -> ManifestRef:
        prefix = _prefix(self.job, CURATE.id)
        target = TargetRow(
            row_id="t",
            split=Split.TRAIN,
            messages=(
                SYSTEM,
                Message(role="user", content="3 and 5?"),
                Message(role="assistant", content="8"),
            ),
        )
        artefacts = [
            self._store(prefix, f"targets/{arm}-AnswerOnly/train.parquet", [target], TargetRow)
            for arm in self.job.spec.students[0].arms
        ]
        return self._commit(CURATE.id, {}, artefacts)

    def _store(self, prefix: str, path: str, rows: Sequence[Any], row_type: type[Any]) -> Any:
        scratch = self.root / "made" / prefix
        return store_rows(self.storage, prefix, path, rows, row_type, scratch=scratch)

    def _commit(self, step: str, summary: dict[str, Any], artefacts: Sequence[Any]) -> ManifestRef:
        manifest = StepManifest(
            job=self.job.metadata.name,
            namespace=self.job.metadata.namespace,
            step=step,
            input_hash="0" * 16,
            artefacts=tuple(artefacts),
            versions={},
            inputs={},
            summary=summary,
        )
        return commit_step(self.storage, prefix=_prefix(self.job, step), manifest=manifest)


def make_sums() -> list[PromptRow]:
    """Six questions of different lengths."""
    questions = ("3 and 5?", "Tom has 5 coins.", "yes", "How many coins?", "A B C", "1 2 3 4")
    return [
        PromptRow(
            row_id=f"row-{number}",
            split=Split.TEST,
            messages=(SYSTEM, Message(role="user", content=question)),
            group=f"row-{number}",
        )
        for number, question in enumerate(questions)
    ]


def make_dialogue(row_id: str, *users: str) -> PromptRow:
    """A dialogue whose recorded replies must enter no prompt."""
    messages = [SYSTEM]
    for user in users:
        messages += [
            Message(role="user", content=user),
            Message(role="assistant", content="recorded, never to be seen"),
        ]
    return PromptRow(row_id=row_id, split=Split.TEST, messages=tuple(messages), group=row_id)


def _prefix(job: DistillationJob, step: str) -> str:
    metadata = job.metadata
    return step_prefix(
        namespace=metadata.namespace, job=metadata.name, step=step, input_hash="0" * 16
    )
