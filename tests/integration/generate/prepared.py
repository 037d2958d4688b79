"""A prepared job without stage prepare: rows, manifest and config for stage generate alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.manifests import StepManifest, step_prefix
from distillery.spec.dataset import PromptsSpec
from distillery.spec.engine import Dtype, TransformersEngineSpec
from distillery.spec.job import StorageSpec
from distillery.spec.teacher import ModelRef, SamplingSpec
from distillery.stage_configs import (
    GenerateConfig,
    GenerateInputs,
    GenerateSettings,
    StepContext,
    input_hash,
)
from distillery.tasks import PromptVariant, TaskName
from ray_jobs.models import model_cache, pin_model
from ray_jobs.progress import Reporter
from ray_jobs.records import Message, PromptRow, Split
from ray_jobs.step import StepTools, commit_step
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import store_rows

_WORDS = ("coins", "apples", "books", "cards", "shells", "stamps", "marbles")


def make_rows(split: Split, count: int, *, turns: int = 1) -> list[PromptRow]:
    """Short questions, all different; ``turns`` user turns each, recorded replies between."""
    rows = []
    for number in range(count):
        word = _WORDS[number % len(_WORDS)]
        messages = [Message(role="user", content=f"Tom has {number} {word}. {split.value}")]
        for turn in range(1, turns):
            messages.append(Message(role="assistant", content="recorded"))
            messages.append(Message(role="user", content=f"And {turn} more?"))
        if turns > 1:
            messages.append(Message(role="assistant", content="recorded"))
        rows.append(
            PromptRow(row_id=f"{split.value}-{number:05d}", split=split, messages=tuple(messages))
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A storage with prepared rows, and a model that will answer them."""

    root: Path
    model: Path
    rows: Sequence[PromptRow]
    task: TaskName = TaskName.SUMMARIZATION

    def config(self, *, job: str = "job", max_tokens: int = 16, **changes: Any) -> GenerateConfig:
        """The stage's config; ``changes`` are ``temperature``, ``samples``, ``variants``,
        ``min_success_ratio``, ``engine`` (the one that starts soonest by default)."""
        storage = StorageSpec(uri=(self.root / "storage").as_uri())
        context = StepContext(
            job=job,
            namespace="default",
            step="generate",
            storage=storage,
            scratch_dir=str(self.root / "scratch"),
        )
        upstream = {"prepare": self._commit_prepare(context)}
        inputs = GenerateInputs(
            task=self.task,
            labels=(),
            prompts=PromptsSpec(),
            teacher=pin_model(ModelRef(uri=self.model.as_uri()), storage, model_cache(context)),
            variants=changes.get("variants", (PromptVariant.VANILLA,)),
            sampling=SamplingSpec(
                temperature=changes.get("temperature", 0.0),
                top_p=1.0,
                samples_per_prompt=changes.get("samples", 1),
            ),
            max_tokens=max_tokens,
            dtype=Dtype.FLOAT32,
        )
        digest = input_hash(inputs, upstream)
        return GenerateConfig(
            context=context.model_copy(
                update={
                    "upstream": upstream,
                    "input_hash": digest,
                    "prefix": step_prefix(
                        namespace="default", job=job, step="generate", input_hash=digest
                    ),
                }
            ),
            inputs=inputs,
            settings=GenerateSettings(
                engine=changes.get(
                    "engine", TransformersEngineSpec(dtype=Dtype.FLOAT32, batch_size=8)
                ),
                min_success_ratio=changes.get("min_success_ratio", 0.0),
            ),
        )

    def tools(self, config: GenerateConfig) -> StepTools:
        """The tools the frame would hand over."""
        context = config.context
        scratch = Path(context.scratch_dir) / context.step / context.input_hash
        scratch.mkdir(parents=True, exist_ok=True)
        return StepTools(
            storage=open_storage(context.storage.uri), reporter=Reporter(), scratch=scratch
        )

    def _commit_prepare(self, context: StepContext) -> Any:
        storage = open_storage(context.storage.uri)
        prefix = "jobs/default/prepared"
        artefacts = tuple(
            store_rows(
                storage,
                prefix,
                f"prompts/{split.value}.parquet",
                [row for row in self.rows if row.split == split],
                PromptRow,
                scratch=self.root / "prepare",
            )
            for split in Split
        )
        manifest = StepManifest(
            job="prepared",
            namespace="default",
            step="prepare",
            input_hash="0" * 16,
            artefacts=artefacts,
            versions={},
            inputs={},
            summary={},
        )
        return commit_step(storage, prefix=prefix, manifest=manifest)
