"""The sizing verdict: what prepare, which has read models and data, says of the GPUs. No I/O.

The rules are those of ``distillery validate``, which knows models by their names alone; here each
has its ``config.json``.
"""

from collections.abc import Mapping
from typing import Any

from distillery.errors import SpecError
from distillery.sizing.efficiencies import DEFAULT_EFFICIENCY
from distillery.sizing.estimates import (
    ANSWER_SHARE,
    CHARS_PER_TOKEN,
    PROMPT_TOKENS,
    Amounts,
    Estimate,
)
from distillery.sizing.known import KnownModel, Knows, known_by_config
from distillery.sizing.plans import plan_job
from distillery.spec.job import JobSpec
from distillery.summaries import DataSummary
from distillery.validation.sizing import find_sizing_problems
from ray_jobs.records import Split


def check_sizing(spec: JobSpec, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ``SpecError`` with all that can't fit ``spec.runtime.gpus``.

    Args:
        configs: Each model's ``config.json`` by its address.
    """
    if spec.runtime.gpus is None:
        return
    problems = find_sizing_problems(spec, _knower(configs))
    if problems:
        raise SpecError.from_problems(problems)


def estimate_job(
    spec: JobSpec, configs: Mapping[str, Mapping[str, Any]], data: DataSummary
) -> Estimate | None:
    """What the job is expected to take; None where it doesn't say its GPUs."""
    if spec.runtime.gpus is None:
        return None
    knows = _knower(configs)
    teacher = knows(spec.teacher.model.uri)
    assert teacher is not None, "each model's config was read"
    return plan_job(
        spec,
        spec.runtime.gpus,
        teacher=teacher,
        knows=knows,
        amounts=_amounts(spec, data),
        efficiency=DEFAULT_EFFICIENCY,
    ).estimate


def _knower(configs: Mapping[str, Mapping[str, Any]]) -> Knows:
    def knows(uri: str) -> KnownModel | None:
        return known_by_config(configs[uri], name=uri)

    return knows


def _amounts(spec: JobSpec, data: DataSummary) -> Amounts:
    """Rows as they were kept; prompts by their characters, answers by what is allowed."""
    kept = {split: data.splits[split.value].num_kept for split in Split}
    chars = sum(each.mean_chars * each.num_kept for each in data.splits.values())
    tokens = chars / sum(kept.values()) / CHARS_PER_TOKEN
    return Amounts(
        num_train=kept[Split.TRAIN],
        num_validation=kept[Split.VALIDATION],
        num_test=kept[Split.TEST],
        prompt_tokens=tokens or PROMPT_TOKENS,
        answer_tokens=ANSWER_SHARE * spec.teacher_max_tokens,
    )
