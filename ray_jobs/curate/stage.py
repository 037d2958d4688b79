"""The order of curate's work. The frame around it is ``ray_jobs.step``."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from distillery.errors import InvariantError
from distillery.manifests import Artefact
from distillery.stage_configs import CurateConfig
from distillery.steps import GENERATE, PREPARE
from distillery.summaries import CurationSummary, LabelQuality, YieldSummary
from distillery.tasks import TASK_FACTS
from ray_jobs.curate.judging import CuratedRow, Judged, judge_rows
from ray_jobs.curate.label_quality import measure_quality
from ray_jobs.curate.targets import (
    TRAINING_SPLITS,
    SetRows,
    build_targets,
    check_rows_left,
    sum_up_targets,
    targets_path,
)
from ray_jobs.curate.yields import check_success, sum_up_yield
from ray_jobs.records import AnswerRow, GoldRow, PromptRow, RejectedRow, RowStatus, Split, TargetRow
from ray_jobs.step import StepResult, StepTools, read_manifest
from ray_jobs.tables import load_rows, store_rows
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_File = tuple[str, Sequence[Any], type[Any]]
"""An artefact's path, its rows and their type."""
_PACKAGES = ("pyarrow",)
REJECTED_PATH = "rejected.parquet"
"""The artefact with ``RejectedRow`` examples."""
MAX_REJECTED = 20
"""Examples kept of each split, variant and status."""


def curated_path(split: Split, variant: str) -> str:
    """The artefact with a ``CuratedRow`` for every prepared row of a split, under one variant."""
    return f"curated/{split}-{variant}.parquet"


@dataclass(frozen=True, kw_only=True)
class _SplitData:
    """A split as read, and the verdicts on it by variant."""

    rows: list[PromptRow]
    gold: dict[str, GoldRow]
    judged: dict[str, list[Judged]] = field(default_factory=dict)


def run(config: CurateConfig, tools: StepTools) -> StepResult:
    """Judges every answer, passes the gate, and stores the target sets."""
    inputs = config.inputs
    task = make_task(inputs.task, TaskOptions(labels=inputs.labels, prompts=inputs.prompts))
    data = {split: _read_split(config, tools, split, task) for split in TRAINING_SPLITS}
    rejected = _pick_rejected(data)
    yields = _sum_up_yields(config, data)
    _gate(config, tools, yields, rejected)
    sets = {
        target_set.name: {
            split: build_targets(
                part.rows, target_set, task=task, judged=part.judged, gold=part.gold
            )
            for split, part in data.items()
        }
        for target_set in inputs.target_sets
    }
    for target_set in inputs.target_sets:
        check_rows_left(target_set, sets[target_set.name])
    summary = CurationSummary(
        yields=tuple(yields),
        label_quality=tuple(_measure_quality(data, task)),
        target_sets=sum_up_targets(sets),
        num_samples_used=_count_samples(data),
        min_success_ratio=config.settings.min_success_ratio,
    )
    for counted in summary.target_sets:
        _LOG.info(
            "target set is built set=%s train=%d validation=%d",
            counted.name,
            counted.num_train,
            counted.num_validation,
        )
    files = [*_target_files(config, sets), *_curated_files(data)]
    files.append((REJECTED_PATH, rejected, RejectedRow))
    artefacts = [_store(config, tools, path, rows, row_type) for path, rows, row_type in files]
    return StepResult(artefacts=artefacts, summary=summary.dump(), packages=_PACKAGES)


def _read_split(config: CurateConfig, tools: StepTools, split: Split, task: Task) -> _SplitData:
    prepared = _Upstream(config, tools, PREPARE.id)
    generated = _Upstream(config, tools, GENERATE.id)
    rows = prepared.load(f"prompts/{split}.parquet", PromptRow)
    gold = prepared.load(f"gold/{split}.parquet", GoldRow)
    data = _SplitData(rows=rows, gold={answer.row_id: answer for answer in gold})
    num_done, total = 0, len(rows) * len(config.inputs.variants)
    tools.reporter.begin(f"judging {split}", total=total, unit="rows")
    for variant in config.inputs.variants:
        answers = generated.load(f"answers/{split}-{variant}.parquet", AnswerRow)
        judged = judge_rows(rows, answers, task=task, variant=variant)
        data.judged[variant.value] = judged
        num_done += len(rows)
        num_bad = sum(verdict.rejected is not None for verdict in judged)
        tools.reporter.update(num_done, rejected=num_bad)
    return data


class _Upstream:
    """A finished step's files."""

    def __init__(self, config: CurateConfig, tools: StepTools, step: str) -> None:
        if step not in config.context.upstream:
            raise InvariantError(f"{config.context.step}: was sent no manifest of {step}")
        self._ref = config.context.upstream[step]
        self._manifest = read_manifest(tools.storage, self._ref)
        self._tools = tools

    def load(self, path: str, row_type: type[T]) -> list[T]:
        return load_rows(
            self._tools.storage,
            self._ref.prefix,
            self._manifest,
            path,
            row_type,
            scratch=self._tools.scratch,
        )


def _sum_up_yields(config: CurateConfig, data: Mapping[Split, _SplitData]) -> list[YieldSummary]:
    return [
        sum_up_yield(judged, part.gold if config.inputs.labels else {})
        for part in data.values()
        for judged in part.judged.values()
    ]


def _gate(
    config: CurateConfig,
    tools: StepTools,
    yields: Sequence[YieldSummary],
    rejected: Sequence[RejectedRow],
) -> None:
    """The rejected answers are stored before the gate can close: its message names them."""
    context = config.context
    path = f"attempts/{context.attempt}/{REJECTED_PATH}"
    if rejected:
        _store(config, tools, path, rejected, RejectedRow)
    check_success(
        yields,
        min_success_ratio=config.settings.min_success_ratio,
        examples_uri=tools.storage.uri_of(f"{context.prefix}/{path}"),
    )


def _pick_rejected(data: Mapping[Split, _SplitData]) -> list[RejectedRow]:
    """The first few of each split, variant and status."""
    counts: Counter[tuple[str, str, str]] = Counter()
    picked = []
    for part in data.values():
        for judged in part.judged.values():
            for verdict in judged:
                if (bad := verdict.rejected) is None:
                    continue
                kind = (bad.split.value, bad.variant, bad.status.value)
                counts[kind] += 1
                if counts[kind] <= MAX_REJECTED:
                    picked.append(bad)
    return picked


def _count_samples(data: Mapping[Split, _SplitData]) -> dict[str, int]:
    counts = Counter(
        verdict.curated.sample
        for part in data.values()
        for judged in part.judged.values()
        for verdict in judged
        if verdict.curated.status is RowStatus.OK
    )
    return {str(sample): counts[sample] for sample in sorted(counts)}


def _measure_quality(data: Mapping[Split, _SplitData], task: Task) -> list[LabelQuality]:
    """Nothing for tasks that have no one right answer."""
    if not TASK_FACTS[task.name].needs_gold:
        return []
    return [
        quality
        for split, part in data.items()
        for quality in measure_quality(part.rows, part.judged, part.gold, task=task, split=split)
    ]


def _target_files(config: CurateConfig, sets: Mapping[str, SetRows]) -> list[_File]:
    return [
        (targets_path(target_set, split), sets[target_set.name][split], TargetRow)
        for target_set in config.inputs.target_sets
        for split in TRAINING_SPLITS
    ]


def _curated_files(data: Mapping[Split, _SplitData]) -> list[_File]:
    return [
        (curated_path(split, variant), [verdict.curated for verdict in judged], CuratedRow)
        for split, part in data.items()
        for variant, judged in part.judged.items()
    ]


def _store(
    config: CurateConfig, tools: StepTools, path: str, rows: Sequence[Any], row_type: type[Any]
) -> Artefact:
    return store_rows(
        tools.storage,
        config.context.prefix,
        path,
        rows,
        row_type,
        scratch=tools.scratch / "out",
    )
