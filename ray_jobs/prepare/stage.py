"""The order of prepare's work. The frame around it is ``ray_jobs.step``.

Storage, models and finished steps are looked at in every run; the data only where no manifest
exists for it. So prepare commits its own manifest, whose hash the finished steps depend on.
"""

import logging
from collections.abc import Sequence
from typing import Any

from distillery.manifests import (
    Artefact,
    ManifestRef,
    StepManifest,
    canonical_json,
    sha256_hex,
    step_prefix,
)
from distillery.spec.dataset import PromptsSpec
from distillery.stage_configs import PrepareConfig, PrepareInputs, PrepareVerdict
from distillery.summaries import DataSummary
from distillery.verdicts import pack_verdict
from ray_jobs.models import model_cache
from ray_jobs.prepare.duplicates import DroppedRow
from ray_jobs.prepare.sizing import check_sizing, estimate_job
from ray_jobs.prepare.sources import OpenedSource, open_source
from ray_jobs.prepare.splits import PreparedData, check_gold_arms, combine_splits, read_split
from ray_jobs.prepare.verdict import find_finished, inspect_models
from ray_jobs.records import GoldRow, PromptRow, Split
from ray_jobs.step import (
    StepResult,
    StepTools,
    commit_step,
    find_manifest,
    package_versions,
    read_manifest,
)
from ray_jobs.storage.probe import probe_storage
from ray_jobs.tables import store_rows
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task

_LOG = logging.getLogger(__name__)
_PACKAGES = ("datasets", "datasketch", "pyarrow")
_INPUT_HASH_CHARS = 16


def prompts_path(split: Split) -> str:
    """The artefact with a split's ``PromptRow``s."""
    return f"prompts/{split}.parquet"


def gold_path(split: Split) -> str:
    """The artefact with a split's ``GoldRow``s: only of rows that have gold."""
    return f"gold/{split}.parquet"


DROPPED_PATH = "dropped.parquet"
"""The artefact with every ``DroppedRow``."""


def run(config: PrepareConfig, tools: StepTools) -> StepResult:
    """Prepares the data unless that is done, then gives the verdict."""
    context, spec = config.context, config.spec
    probe_storage(tools.storage, prefix=f"jobs/{context.namespace}/{context.job}")
    check_gold_arms(spec)
    task = make_data_task(config.inputs)
    sources = [
        open_source(getattr(spec.dataset, split.value), split=split, storage=spec.storage)
        for split in Split
    ]
    digest = data_hash(config.inputs, sources, task)
    prefix = step_prefix(
        namespace=context.namespace, job=context.job, step=context.step, input_hash=digest
    )
    models = inspect_models(spec, cache=model_cache(context))
    configs = {model.pin.uri: model.config for model in models.values()}
    check_sizing(spec, configs)
    pins = {name: model.pin for name, model in models.items()}
    dataset = find_manifest(tools.storage, prefix)
    if dataset is None:
        dataset = _prepare_data(config, tools, sources, task=task, prefix=prefix)
    else:
        _LOG.info("data is prepared already prefix=%s", prefix)
    finished = find_finished(context, spec, storage=tools.storage, dataset=dataset, pins=pins)
    estimate = None
    if spec.runtime.gpus is not None:
        data = DataSummary.model_validate(read_manifest(tools.storage, dataset).summary)
        estimate = estimate_job(spec, configs, data)
    verdict = PrepareVerdict(dataset=dataset, pins=pins, finished=finished, estimate=estimate)
    return StepResult(committed=dataset, verdict=pack_verdict(verdict))


def make_data_task(inputs: PrepareInputs) -> Task:
    """The task with the words that prepared rows hold; what the teacher alone is told is unset."""
    prompts = PromptsSpec(
        system=inputs.system, user=inputs.user, max_summary_words=inputs.max_summary_words
    )
    return make_task(inputs.task, TaskOptions(labels=inputs.labels, prompts=prompts))


def data_hash(inputs: PrepareInputs, sources: Sequence[OpenedSource], task: Task) -> str:
    """Prepare's input hash: the spec's part, the content of the data, and the prompt library."""
    document = {
        "inputs": inputs.dump(),
        "kind": type(inputs).__name__,
        "data": {source.split.value: source.digest for source in sources},
        "prompts": task.prompt_hash,
    }
    return sha256_hex(canonical_json(document))[:_INPUT_HASH_CHARS]


def _prepare_data(
    config: PrepareConfig,
    tools: StepTools,
    sources: Sequence[OpenedSource],
    *,
    task: Task,
    prefix: str,
) -> ManifestRef:
    spec, context = config.spec, config.context
    splits = []
    for source in sources:
        split = read_split(source, spec, task, scratch=tools.scratch)
        num_rows = len(split.drafts)
        tools.reporter.begin(f"reading {source.split}", total=num_rows, unit="rows", done=num_rows)
        splits.append(split)
    data = combine_splits(splits, spec)
    for name, summary in data.summary.splits.items():
        _LOG.info(
            "split is prepared split=%s read=%d kept=%d", name, summary.num_read, summary.num_kept
        )
    for note in data.summary.notes:
        _LOG.warning("data note=%r", note)
    artefacts = _store_data(tools, prefix, data)
    return commit_step(
        tools.storage,
        prefix=prefix,
        manifest=StepManifest(
            job=context.job,
            namespace=context.namespace,
            step=context.step,
            input_hash=prefix.rpartition("/")[2],
            artefacts=artefacts,
            versions=package_versions(_PACKAGES),
            inputs={},
            summary=data.summary.dump(),
        ),
    )


def _store_data(tools: StepTools, prefix: str, data: PreparedData) -> tuple[Artefact, ...]:
    files: list[tuple[str, list[Any], type[Any]]] = []
    for split, drafts in data.drafts.items():
        gold = [draft.gold for draft in drafts if draft.gold is not None]
        files.append((prompts_path(split), [draft.prompt for draft in drafts], PromptRow))
        files.append((gold_path(split), gold, GoldRow))
    files.append((DROPPED_PATH, list(data.dropped), DroppedRow))
    return tuple(
        store_rows(tools.storage, prefix, path, rows, row_type, scratch=tools.scratch / "out")
        for path, rows, row_type in files
    )
