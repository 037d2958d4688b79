"""A whole job's upstream for the tests of publish: made by hand, of the shape the stages leave.

``make_published`` puts manifests, rows, curves and weights of a MATH job with 40 test rows into
``file://`` storage. Which rows each model answers right is in ``RIGHT``, so that every figure of the
report can be worked out on paper; nothing here computes one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from distillery.evaluations import PREDICTIONS_NAME, Evaluation
from distillery.manifests import Artefact, ManifestRef, StepManifest, step_prefix
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PinnedModel, PublishConfig
from distillery.step_configs import Known, Place, build_config
from distillery.steps import CURATE, GENERATE, PREPARE, PUBLISH, evaluate_step, train_step
from distillery.summaries import (
    CurationSummary,
    DataSummary,
    LabelQuality,
    SplitSummary,
    TargetSetSummary,
    YieldSummary,
)
from distillery.tasks import Arm, PromptVariant, TargetKind, TaskName
from distillery.trials import CURVE_NAME, WEIGHTS_FOLDER, CurvePoint, TrialRef
from ray_jobs.answers.ledger import LedgerTotals
from ray_jobs.engines.base import FinishReason
from ray_jobs.generate.outputs import Figures, answers_path, build_summary
from ray_jobs.generate.tally import Tally
from ray_jobs.generate.work import Ask, first_asks
from ray_jobs.progress import Reporter
from ray_jobs.records import AnswerRow, GoldRow, Message, PredictionRow, PromptRow, Split
from ray_jobs.scoring import GivenAnswer, Truth, score_answers
from ray_jobs.step import StepTools, commit_step
from ray_jobs.storage.base import Storage
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import store_rows
from tests.builders import make_job
from tests.rows import make_answer, make_any_task, make_pin

NUM_ROWS = 40
PLANTED = "<b>bold</b><script>alert(1)</script>"
"""Stands in a question, and must stand in the report as text."""

Name = tuple[Arm, int | None, PromptVariant]
VANILLA, REASONED = PromptVariant.VANILLA, PromptVariant.CHAIN_OF_THOUGHT
BASE: Name = (Arm.BASE, None, VANILLA)
BASE_REASONED: Name = (Arm.BASE, None, REASONED)
VANILLA_0: Name = (Arm.VANILLA, 0, VANILLA)
VANILLA_1: Name = (Arm.VANILLA, 1, VANILLA)
REASONED_0: Name = (Arm.CHAIN_OF_THOUGHT, 0, VANILLA)
REASONED_1: Name = (Arm.CHAIN_OF_THOUGHT, 1, VANILLA)

RIGHT: dict[Name, range] = {
    BASE: range(4),
    BASE_REASONED: range(0),
    VANILLA_0: range(18),
    VANILLA_1: range(2, 22),
    REASONED_0: range(30),
    REASONED_1: range(34),
}
"""Rows each model of the student answers right; the others with a wrong number."""

UNREADABLE: dict[Name, range] = {BASE: range(30, 40), BASE_REASONED: range(40)}
"""Rows whose answer is no number."""

TEACHER_RIGHT = {VANILLA: range(20), REASONED: range(36)}

VALIDATION_LOSS = {VANILLA_0: 0.8, VANILLA_1: 0.7, REASONED_0: 0.3, REASONED_1: 0.4}
"""Seed 0 of the reasoned arm is best here; on test its seed 1 is."""


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """What publish is started with. ``output`` is the run's folder."""

    config: PublishConfig
    tools: StepTools
    output: Path
    log: StringIO

    def published(self, path: str) -> bytes:
        """A file below the step's prefix."""
        return self.tools.storage.get_bytes(f"{self.config.context.prefix}/{path}")


def make_published(
    root: Path,
    *,
    weights: Mapping[str, bytes] | None = None,
    failed_students: Mapping[str, str] | None = None,
    validation_loss: Mapping[Name, float] | None = None,
    right: Mapping[Name, range] = RIGHT,
    student_pin: PinnedModel | None = None,
    group_size: int = 1,
    **changes: Any,
) -> Upstream:
    """Everything upstream of publish, in ``root``; progress goes to ``Upstream.log``.

    Args:
        weights: File name to content of every trial's weights folder; default: a full model's.
        failed_students: Student to its message; what failed left nothing.
        validation_loss: Of each trial; default ``VALIDATION_LOSS``.
        right: Which models there are, and the rows each answers right.
        student_pin: Of a real model, where its weights are read.
        group_size: How many neighbouring questions are one cluster.
        changes: Of the job, as ``make_job`` takes them.
    """
    job = make_job(storage__uri=(root / "store").as_uri(), **changes)
    failed = dict(failed_students or {})
    maker = _Maker(
        job, open_storage(job.spec.storage.uri), root / "made", right=right, group_size=group_size
    )
    manifests = {
        PREPARE.id: maker.prepare(),
        GENERATE.id: maker.generate(),
        CURATE.id: maker.curate(),
    }
    for student in job.spec.students:
        if student.name not in failed:
            files = weights or {"config.json": b"{}", "model.safetensors": b"weights"}
            losses = VALIDATION_LOSS if validation_loss is None else validation_loss
            trials = maker.trials(student.name, files, losses)
            manifests[train_step(student.name).id] = trials
            manifests[evaluate_step(student.name).id] = maker.evaluations(student.name)
    pins = {"teacher": make_pin("teacher")}
    pins |= {
        f"students/{student.name}": student_pin or make_pin(student.name)
        for student in job.spec.students
    }
    output = root / "run"
    output.mkdir()
    config = build_config(
        PUBLISH,
        job,
        Known(pins=pins, manifests=manifests, failed_students=failed),
        place=Place(scratch_dir=str(root / "scratch"), output_dir=str(output)),
        attempt=1,
    )
    assert isinstance(config, PublishConfig)
    log = StringIO()
    tools = StepTools(storage=maker.storage, reporter=Reporter(out=log), scratch=root / "scratch")
    return Upstream(config=config, tools=tools, output=output, log=log)


def make_test_rows(group_size: int) -> list[PromptRow]:
    """40 questions; number 4, the first that the models disagree on, carries ``PLANTED``."""
    return [
        PromptRow(
            row_id=f"row-{number:02d}",
            split=Split.TEST,
            messages=(
                Message(role="system", content="Number only."),
                Message(role="user", content=f"What is {number}? {PLANTED if number == 4 else ''}"),
            ),
            group=f"group-{number // group_size}",
        )
        for number in range(NUM_ROWS)
    ]


def make_test_dialogues() -> list[PromptRow]:
    """40 dialogues of two turns."""
    return [
        PromptRow(
            row_id=f"row-{number:02d}",
            split=Split.TEST,
            messages=tuple(
                Message(role=role, content=f"{role} {number}")
                for role in ("user", "assistant", "user", "assistant")
            ),
            group=f"row-{number:02d}",
        )
        for number in range(NUM_ROWS)
    ]


def gold_of(number: int) -> str:
    """7 for the first five rows, so that the constant answer is 7 and right on five of 40."""
    return "7" if number < 5 else str(100 + number)


class _Maker:
    """Writes one step after the other."""

    def __init__(
        self,
        job: DistillationJob,
        storage: Storage,
        scratch: Path,
        *,
        right: Mapping[Name, range],
        group_size: int,
    ) -> None:
        self.storage = storage
        self._job = job
        self._scratch = scratch
        self._right = right
        self._task = make_any_task(job.spec.task)
        is_math = job.spec.task == TaskName.MATH
        self._rows = make_test_rows(group_size) if is_math else make_test_dialogues()
        self._variants = job.spec.teacher.prompts
        self._gold = [
            GoldRow(row_id=row.row_id, gold=gold_of(number))
            for number, row in enumerate(self._rows)
            if is_math
        ]

    def prepare(self) -> ManifestRef:
        prefix = self._prefix(PREPARE.id)
        split = SplitSummary(
            uri="file:///data", digest="d", num_read=44, num_sampled=42, num_kept=40, num_groups=40,
            dropped={"duplicate": 2}, num_near_duplicates=3,
        )  # fmt: skip
        summary = DataSummary(
            splits=dict.fromkeys(("train", "validation", "test"), split),
            notes=("validation has few rows",),
        )
        artefacts = [
            self._store(prefix, "prompts/test.parquet", self._rows, PromptRow),
            self._store(prefix, "gold/test.parquet", self._gold, GoldRow),
        ]
        return self._commit(PREPARE.id, summary.dump(), artefacts, versions={"pyarrow": "26.0.1"})

    def generate(self) -> ManifestRef:
        asks = first_asks(self._rows, self._variants, 1, self._task)
        tally = Tally(task=self._task, asks=asks, min_success_ratio=0.5)
        tally.record([(ask, self._teacher_answers(ask)) for ask in asks])
        prefix = self._prefix(GENERATE.id)
        artefacts = [
            self._store(
                prefix,
                answers_path(Split.TEST, variant),
                tally.rows[Split.TEST, variant.value],
                AnswerRow,
            )
            for variant in self._variants
        ]
        figures = Figures(steady_s=12.5, tokens_answered=280)
        summary = build_summary(tally, figures, ledger=LedgerTotals(num_engines=1, tokens=280))
        return self._commit(GENERATE.id, summary, artefacts)

    def curate(self) -> ManifestRef:
        yields = [
            YieldSummary(
                split=split, variant=variant, num_rows=40, num_ok=num_ok, success_ratio=num_ok / 40,
                statuses={"ok": num_ok, "unparsable": 40 - num_ok},
                details={"not a number alone": 40 - num_ok} if num_ok < 40 else {},
            )
            for split in ("train", "validation")
            for variant, num_ok in (("Vanilla", 40), ("ChainOfThought", 38))
        ]  # fmt: skip
        quality = LabelQuality(
            split="train", variant="Vanilla", num_rows=40, num_right=20, accuracy=0.5,
            num_common_rows=38, num_common_right=19, common_accuracy=0.5,
        )  # fmt: skip
        sets = [
            TargetSetSummary(
                name=f"{arm}-AnswerOnly", num_train=num, num_validation=num, num_train_common=38,
                num_validation_common=38,
            )
            for arm, num in (("Vanilla", 40), ("ChainOfThought", 38))
        ]  # fmt: skip
        summary = CurationSummary(
            yields=tuple(yields), label_quality=(quality,), target_sets=tuple(sets),
            min_success_ratio=0.7,
        )  # fmt: skip
        return self._commit(CURATE.id, summary.dump(), ())

    def trials(
        self, student: str, files: Mapping[str, bytes], losses: Mapping[Name, float]
    ) -> ManifestRef:
        step = train_step(student).id
        names = [name for name in self._right if name[0] != Arm.BASE]
        refs = [self._trial(step, name, files, losses.get(name)) for name in names]
        return self._commit(step, {"trials": [ref.dump() for ref in refs]}, ())

    def evaluations(self, student: str) -> ManifestRef:
        step = evaluate_step(student).id
        found = [self._evaluation(step, name).dump() for name in self._right]
        return self._commit(step, {"maxTokens": 8, "templateHash": "t", "evaluations": found}, ())

    def _trial(
        self, step: str, name: Name, files: Mapping[str, bytes], loss: float | None
    ) -> TrialRef:
        arm, seed, _ = name
        label = f"{step}/trials/{arm}-{seed}"
        prefix = self._prefix(label)
        artefacts = [
            self._put(prefix, f"{WEIGHTS_FOLDER}/{path}", data) for path, data in files.items()
        ]
        points = [
            CurvePoint(
                step=number, loss=2.0 / number, validation_loss=loss if number == 5 else None,
                learning_rate=1e-4, grad_norm=1.0, tokens=100 * number, seconds=float(number),
            )
            for number in range(1, 6)
        ]  # fmt: skip
        curve = "".join(f"{point.model_dump_json(by_alias=True)}\n" for point in points)
        artefacts.append(self._put(prefix, CURVE_NAME, curve.encode()))
        ref = self._commit(label, {"arm": arm.value, "seed": seed}, artefacts)
        return TrialRef(
            arm=arm, seed=seed or 0, prefix=prefix, sha256=ref.sha256, best_step=5,
            validation_loss=loss, num_steps=5, seconds=5.0, tokens=500,
        )  # fmt: skip

    def _evaluation(self, step: str, name: Name) -> Evaluation:
        arm, seed, variant = name
        label = f"{step}/models/{arm}-{seed}-{variant}"
        prefix = self._prefix(label)
        predictions = self._predict(name)
        artefact = self._store(prefix, PREDICTIONS_NAME, predictions, PredictionRow)
        ref = self._commit(label, {}, [artefact])
        return Evaluation(
            arm=arm, seed=seed, variant=variant, prefix=prefix, sha256=ref.sha256, metrics={},
            num_rows=NUM_ROWS, num_unparsable=len(UNREADABLE.get(name, ())), num_tokens=80,
            seconds=1.5,
        )  # fmt: skip

    def _predict(self, name: Name) -> list[PredictionRow]:
        arm, _, variant = name
        given = {
            (row.row_id, turn): GivenAnswer(
                text=self._text(number, self._right[name], UNREADABLE.get(name, range(0))),
                finish_reason=FinishReason.STOP,
                num_tokens=2,
            )
            for number, row in enumerate(self._rows)
            for turn in range(self._task.num_turns(row))
        }
        replies = {
            (row.row_id, turn): gold_of(number)
            for number, row in enumerate(self._rows)
            for turn in range(self._task.num_turns(row))
        }
        truth = Truth(gold={row.row_id: row for row in self._gold}, references=replies)
        form = variant if arm == Arm.BASE else TargetKind.ANSWER_ONLY
        return score_answers(self._task, self._rows, given, truth=truth, form=form)

    def _teacher_answers(self, ask: Ask) -> list[AnswerRow]:
        number = self._rows.index(ask.row)
        text = self._text(number, TEACHER_RIGHT[ask.variant], range(0))
        if self._job.spec.task == TaskName.CONVERSATION:
            text = gold_of(number)
        if ask.variant == REASONED:
            text = f'{{"reason": "It is <i>{text}</i>", "answer": "{text}"}}'
        return [
            make_answer(
                ask.row.row_id,
                text,
                split=Split.TEST,
                variant=ask.variant.value,
                turn=turn,
                num_turns=ask.num_turns,
                num_tokens=3,
            )
            for turn in range(ask.num_turns)
        ]

    def _text(self, number: int, right: range, unreadable: range) -> str:
        if number in unreadable:
            return "no idea"
        return gold_of(number) if number in right else "1"

    def _prefix(self, step: str) -> str:
        metadata = self._job.metadata
        return step_prefix(
            namespace=metadata.namespace, job=metadata.name, step=step, input_hash="0" * 16
        )

    def _store(self, prefix: str, path: str, rows: Sequence[Any], row_type: type[Any]) -> Artefact:
        scratch = self._scratch / prefix
        return store_rows(self.storage, prefix, path, rows, row_type, scratch=scratch)

    def _put(self, prefix: str, path: str, data: bytes) -> Artefact:
        stored = self.storage.put_bytes(f"{prefix}/{path}", data)
        assert stored.sha256 is not None
        return Artefact(path=path, size_bytes=len(data), sha256=stored.sha256)

    def _commit(
        self,
        step: str,
        summary: Mapping[str, Any],
        artefacts: Sequence[Artefact],
        *,
        versions: Mapping[str, str] | None = None,
    ) -> ManifestRef:
        manifest = StepManifest(
            job=self._job.metadata.name,
            namespace=self._job.metadata.namespace,
            step=step,
            input_hash="0" * 16,
            artefacts=tuple(artefacts),
            versions=dict(versions or {}),
            inputs={},
            summary=dict(summary),
        )
        return commit_step(self.storage, prefix=self._prefix(step), manifest=manifest)
