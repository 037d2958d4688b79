"""Rules of ``spec.teacher``: prompts the task has, budgets that fit, sampling that makes sense."""

import math

from distillery.errors import Problem
from distillery.spec.engine import VllmEngineSpec
from distillery.spec.job import JobSpec
from distillery.tasks import PromptVariant, TaskName
from distillery.validation.data import model_uri_problem

# Tokens of one English word in common vocabularies, rounded up, and what a JSON answer adds
# around its text. A budget below these cuts answers that are otherwise right.
TOKENS_PER_WORD = 1.5
JSON_TOKENS = 24


def find_teacher_problems(spec: JobSpec) -> list[Problem]:
    """What is wrong with the teacher."""
    model = spec.teacher.model
    return [
        *model_uri_problem("spec.teacher.model", model.uri, model.revision),
        *_variant_problems(spec),
        *_budget_problems(spec),
        *_sampling_problems(spec),
        *_pipeline_problems(spec),
    ]


def _pipeline_problems(spec: JobSpec) -> list[Problem]:
    engine = spec.teacher.engine
    if not isinstance(engine, VllmEngineSpec) or engine.pipeline_parallel == 1:
        return []
    if engine.tensor_parallel:
        return []
    message = f"needs GPUs, got {engine.pipeline_parallel} and tensorParallel 0, the CPU"
    way_out = "set tensorParallel or remove it"
    return [Problem(path="spec.teacher.engine.pipelineParallel", message=f"{message}; {way_out}")]


def needed_tokens(spec: JobSpec, variant: PromptVariant) -> int:
    """The least answer length in tokens that ``variant`` needs."""
    prompts = spec.prompts
    match variant:
        case PromptVariant.CHAIN_OF_THOUGHT:
            return math.ceil(prompts.max_reason_words * TOKENS_PER_WORD) + JSON_TOKENS
        case PromptVariant.CHAIN_OF_DENSITY:
            a_round = math.ceil(prompts.max_summary_words * TOKENS_PER_WORD) + JSON_TOKENS
            return prompts.density_rounds * a_round
        case PromptVariant.VANILLA:
            if spec.task == TaskName.SUMMARIZATION:
                return math.ceil(prompts.max_summary_words * TOKENS_PER_WORD)
            return 1


def _variant_problems(spec: JobSpec) -> list[Problem]:
    path, problems = "spec.teacher.prompts", []
    for variant in spec.teacher.prompts:
        if variant not in spec.facts.variants:
            accepted = ", ".join(spec.facts.variants)
            message = f"{spec.task} has no such prompt, got {variant}; accepted are {accepted}"
            problems.append(Problem(path=path, message=message))
    if len(set(spec.teacher.prompts)) < len(spec.teacher.prompts):
        got = ", ".join(spec.teacher.prompts)
        problems.append(Problem(path=path, message=f"names a prompt twice, got {got}"))
    return problems


def _budget_problems(spec: JobSpec) -> list[Problem]:
    problems, budget = [], spec.teacher_max_tokens
    for variant in dict.fromkeys(spec.teacher.prompts):
        needed = needed_tokens(spec, variant)
        if budget < needed:
            message = (
                f"too small for {variant}, got {budget}; use {needed} or more, {_shorten(variant)}"
            )
            problems.append(Problem(path="spec.teacher.sampling.maxTokens", message=message))
    window = spec.teacher.engine.max_model_len
    if window is not None and window <= budget:
        message = f"leaves no room for a prompt beside {budget} answer tokens, got {window}"
        way_out = "raise it or lower spec.teacher.sampling.maxTokens"
        problems.append(
            Problem(path="spec.teacher.engine.maxModelLen", message=f"{message}; {way_out}")
        )
    return problems


def _shorten(variant: PromptVariant) -> str:
    if variant == PromptVariant.CHAIN_OF_THOUGHT:
        return "or lower spec.prompts.maxReasonWords"
    if variant == PromptVariant.CHAIN_OF_DENSITY:
        return "or lower spec.prompts.densityRounds or maxSummaryWords"
    return "or lower spec.prompts.maxSummaryWords"


def _sampling_problems(spec: JobSpec) -> list[Problem]:
    sampling = spec.teacher.sampling
    if sampling.samples_per_prompt > 1 and sampling.temperature == 0:
        message = (
            f"greedy answers are all the same, got {sampling.samples_per_prompt} at temperature 0; "
            "use 1, or a temperature above 0"
        )
        return [Problem(path="spec.teacher.sampling.samplesPerPrompt", message=message)]
    if sampling.top_k == 0:
        return [
            Problem(
                path="spec.teacher.sampling.topK", message="must be -1 (all) or 1 and more, got 0"
            )
        ]
    return []
