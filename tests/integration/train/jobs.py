"""Train steps on a tiny model: curated rows in a folder, and the config a controller would send."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.manifests import Artefact, ManifestRef, StepManifest, step_prefix
from distillery.spec.job import StorageSpec
from distillery.spec.student import FullMethod, LoraMethod, TrainingSpec, WorkersSpec
from distillery.spec.teacher import ModelRef
from distillery.stage_configs import (
    PinnedModel,
    StepContext,
    TrainConfig,
    TrainInputs,
    TrainSettings,
    input_hash,
)
from distillery.tasks import Arm, TargetKind
from distillery.trials import CurvePoint, TrialRef, trials_of
from ray_jobs.models import pin_model
from ray_jobs.progress import Reporter
from ray_jobs.records import Message, Split, TargetRow
from ray_jobs.step import StepTools, commit_step, read_manifest
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import store_rows
from ray_jobs.train.stage import run

STEP = "train-small"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A job's storage and scratch folders, and what curate left there."""

    root: Path
    pin: PinnedModel
    curate: ManifestRef

    @property
    def storage_uri(self) -> str:
        return f"file://{self.root / 'storage'}"


def make_rows(count: int, *, split: Split, seed: int = 0) -> list[TargetRow]:
    """Sums to say, of several lengths."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        numbers = [rng.randrange(1, 9) for _ in range(rng.randrange(2, 6))]
        question = " plus ".join(str(n) for n in numbers)
        rows.append(
            TargetRow(
                row_id=f"{split}-{index}",
                split=split,
                messages=(
                    Message(role="system", content="Answer with a number."),
                    Message(role="user", content=question),
                    Message(role="assistant", content=str(sum(numbers))),
                ),
            )
        )
    return rows


def make_place(
    root: Path,
    model: Path,
    *,
    num_train: int = 30,
    num_validation: int = 9,
    arms: Sequence[Arm] = (Arm.VANILLA, Arm.CHAIN_OF_THOUGHT),
) -> Place:
    """Commits a curate step with target rows for each arm."""
    storage = open_storage(f"file://{root / 'storage'}")
    prefix = "jobs/default/sums/curate/0123456789abcdef"
    artefacts: list[Artefact] = []
    for number, arm in enumerate(arms):
        for split, count in ((Split.TRAIN, num_train), (Split.VALIDATION, num_validation)):
            artefacts.append(
                store_rows(
                    storage,
                    prefix,
                    f"targets/{arm}-{TargetKind.ANSWER_ONLY}/{split}.parquet",
                    make_rows(count, split=split, seed=number),
                    TargetRow,
                    scratch=root / "made",
                )
            )
    manifest = StepManifest(
        job="sums",
        namespace="default",
        step="curate",
        input_hash="0123456789abcdef",
        artefacts=tuple(artefacts),
        versions={},
        inputs={},
        summary={},
    )
    ref = commit_step(storage, prefix=prefix, manifest=manifest)
    spec = StorageSpec(uri=f"file://{root / 'storage'}")
    pin = pin_model(ModelRef(uri=str(model)), spec, root / "cache")
    return Place(root=root, pin=pin, curate=ref)


def make_training(**changes: Any) -> TrainingSpec:
    """Six steps of batch 8 in float32, validated every second."""
    values: dict[str, Any] = {
        "max_steps": 6,
        "batch_size": 8,
        "micro_batch_size": 8,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "precision": "fp32",
        "eval_steps": 2,
        "max_length": 128,
        "min_learning_rate_ratio": 0.05,
    }
    return TrainingSpec(**{**values, **changes})


def make_config(
    place: Place,
    *,
    method: LoraMethod | FullMethod | None = None,
    training: TrainingSpec | None = None,
    workers: WorkersSpec | None = None,
    arms: tuple[Arm, ...] = (Arm.VANILLA,),
    seeds: tuple[int, ...] = (0,),
    scratch: str = "scratch",
    job: str = "sums",
) -> TrainConfig:
    """The config of one attempt."""
    inputs = TrainInputs(
        student=place.pin,
        method=method or FullMethod(),
        training=training or make_training(),
        arms=arms,
        seeds=seeds,
        target=TargetKind.ANSWER_ONLY,
    )
    upstream = {"curate": place.curate}
    digest = input_hash(inputs, upstream)
    context = StepContext(
        job=job,
        namespace="default",
        step=STEP,
        student="small",
        storage=StorageSpec(uri=place.storage_uri),
        prefix=step_prefix(namespace="default", job=job, step=STEP, input_hash=digest),
        input_hash=digest,
        upstream=upstream,
        scratch_dir=str(place.root / scratch),
    )
    return TrainConfig(
        context=context, inputs=inputs, settings=TrainSettings(workers=workers or WorkersSpec())
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step left behind, by label of the trial (``Vanilla 0``)."""

    summary: dict[str, Any]
    trials: dict[str, TrialRef]
    curves: dict[str, list[CurvePoint]]
    manifests: dict[str, StepManifest]
    storage: Path

    def weights(self, label: str) -> Path:
        """The folder of the trial's published weights."""
        return self.storage / self.trials[label].prefix / "weights"


def train(config: TrainConfig, *, reporter: Reporter | None = None) -> Outcome:
    """Runs the stage in this process, on the Ray cluster it is connected to."""
    storage = open_storage(config.context.storage.uri)
    scratch = Path(config.context.scratch_dir) / config.context.step / config.context.input_hash
    scratch.mkdir(parents=True, exist_ok=True)
    tools = StepTools(storage=storage, reporter=reporter or Reporter(), scratch=scratch)
    return read_outcome(config, run(config, tools).summary)


def read_outcome(config: TrainConfig, summary: dict[str, Any]) -> Outcome:
    """The trials that a step's summary names, with what is stored of them."""
    storage = open_storage(config.context.storage.uri)
    root = Path(config.context.storage.uri.removeprefix("file://"))
    refs = [TrialRef.model_validate(trial) for trial in summary["trials"]]
    trials = {f"{ref.arm} {ref.seed}": ref for ref in refs}
    return Outcome(
        summary=summary,
        trials=trials,
        curves={label: read_curve(root / ref.prefix) for label, ref in trials.items()},
        manifests={label: read_manifest(storage, ref.manifest) for label, ref in trials.items()},
        storage=root,
    )


def read_step(config: TrainConfig) -> Outcome:
    """What a step that ran as a process of its own left behind."""
    root = Path(config.context.storage.uri.removeprefix("file://"))
    document = (root / config.context.prefix / "manifest.json").read_bytes()
    manifest = StepManifest.model_validate_json(document)
    assert trials_of(manifest)
    return read_outcome(config, manifest.summary)


def read_curve(folder: Path) -> list[CurvePoint]:
    lines = (folder / "curve.jsonl").read_text().splitlines()
    return [CurvePoint.model_validate(json.loads(line)) for line in lines]


def losses(curve: list[CurvePoint]) -> list[float]:
    """The training losses, step by step."""
    return [point.loss for point in curve]
