"""The rules across fields, one case a message."""

import pytest

from distillery.validation.rules import find_problems, find_warnings
from tests.builders import make_job

CHAT = {"uri": "file:///data/a.jsonl"}
GOLD_CHAT = {"uri": "file:///data/a.jsonl", "fields": {"gold": "gold"}}


def columns(*names: str) -> dict:
    return {"uri": "file:///data/a.jsonl", "fields": {name: name for name in names}}


CONVERSATION = {
    "task": "CONVERSATION",
    "dataset": {"train": CHAT, "validation": CHAT, "test": CHAT},
    "teacher__prompts": ["Vanilla"],
    "students__0__arms": ["Vanilla"],
}
SUMMARIZATION = {
    "task": "SUMMARIZATION",
    "dataset": {"train": CHAT, "validation": CHAT, "test": CHAT},
    "teacher__prompts": ["Vanilla", "ChainOfDensity"],
    "teacher__sampling__maxTokens": 1024,
    "students__0__arms": ["Vanilla", "ChainOfDensity"],
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="math"),
        pytest.param(CONVERSATION, id="conversation"),
        pytest.param(SUMMARIZATION, id="summarization"),
        pytest.param({"students__0__arms": ["Vanilla", "Gold"]}, id="gold_arm_with_gold"),
        pytest.param({"dataset__train__maxRows": 40}, id="math_takes_40_rows"),
    ],
)
def test_what_can_run_is_accepted(changes: dict) -> None:
    assert find_problems(make_job(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            {**CONVERSATION, "teacher__prompts": ["Vanilla", "ChainOfThought"]},
            "spec.teacher.prompts: CONVERSATION has no such prompt, got ChainOfThought; "
            "accepted are Vanilla",
            id="chain_of_thought_for_conversation",
        ),
        pytest.param(
            {
                "teacher__prompts": ["Vanilla", "ChainOfThought", "ChainOfDensity"],
                "teacher__sampling__maxTokens": 2048,
            },
            "spec.teacher.prompts: MATH has no such prompt, got ChainOfDensity; "
            "accepted are Vanilla, ChainOfThought",
            id="chain_of_density_outside_summarization",
        ),
        pytest.param(
            {"students__0__arms": ["Gold"], "dataset__train__fields": {"user": "question"}},
            "spec.students[0].arms: needs ground truth, got Gold without it; "
            "set spec.dataset.train.fields.gold, or remove Gold",
            id="gold_arm_without_gold",
        ),
        pytest.param(
            {**CONVERSATION, "students__0__arms": ["Gold"]},
            "spec.students[0].arms: CONVERSATION has no ground truth to train on, got Gold; remove it",
            id="gold_arm_for_conversation",
        ),
        pytest.param(
            {"students__0__arms": ["Gold"], "students__0__target": "ReasonThenAnswer"},
            "spec.students[0].arms: ground truth has no reasoning to train on, "
            "got Gold with ReasonThenAnswer; remove it",
            id="gold_arm_with_reasons",
        ),
        pytest.param(
            {"teacher__prompts": ["Vanilla"]},
            "spec.students[0].arms: the teacher is not asked that way, got ChainOfThought; "
            "add it to spec.teacher.prompts",
            id="arm_whose_prompt_the_teacher_does_not_run",
        ),
        pytest.param(
            {"students__0__arms": ["Base"]},
            "spec.students[0].arms: Base is the untrained student and always evaluated, got Base; "
            "remove it",
            id="base_listed",
        ),
        pytest.param(
            {"students__0__arms": ["ChainOfDensity"]},
            "spec.students[0].arms: MATH has no such arm, got ChainOfDensity; "
            "accepted are Vanilla, ChainOfThought, Gold",
            id="arm_the_task_lacks",
        ),
        pytest.param(
            {"students__0__arms": ["Vanilla", "Vanilla"]},
            "spec.students[0].arms: names an arm twice, got Vanilla, Vanilla",
            id="arm_twice",
        ),
        pytest.param(
            {"students__0__seeds": [1, 1]},
            "spec.students[0].seeds: names a seed twice, got 1, 1",
            id="seed_twice",
        ),
        pytest.param(
            {"teacher__prompts": ["Vanilla", "Vanilla", "ChainOfThought"]},
            "spec.teacher.prompts: names a prompt twice, got Vanilla, Vanilla, ChainOfThought",
            id="prompt_twice",
        ),
        pytest.param(
            {"teacher__sampling__maxTokens": 128},
            "spec.teacher.sampling.maxTokens: too small for ChainOfThought, got 128; "
            "use 144 or more, or lower spec.prompts.maxReasonWords",
            id="budget_too_small_for_chain_of_thought",
        ),
        pytest.param(
            {**SUMMARIZATION, "teacher__sampling__maxTokens": 500},
            "spec.teacher.sampling.maxTokens: too small for ChainOfDensity, got 500; "
            "use 576 or more, or lower spec.prompts.densityRounds or maxSummaryWords",
            id="budget_too_small_for_chain_of_density",
        ),
        pytest.param(
            {
                **SUMMARIZATION,
                "teacher__prompts": ["Vanilla"],
                "students__0__arms": ["Vanilla"],
                "teacher__sampling__maxTokens": 100,
            },
            "spec.teacher.sampling.maxTokens: too small for Vanilla, got 100; "
            "use 120 or more, or lower spec.prompts.maxSummaryWords",
            id="budget_too_small_for_a_summary",
        ),
        pytest.param(
            {"teacher__engine": {"type": "vllm", "maxModelLen": 256}},
            "spec.teacher.engine.maxModelLen: leaves no room for a prompt beside 256 answer tokens, "
            "got 256; raise it or lower spec.teacher.sampling.maxTokens",
            id="window_full_of_answer",
        ),
        pytest.param(
            {"dataset__train__maxRows": 39},
            "spec.dataset.train.maxRows: must be at least 40 for MATH, got 39; take more rows",
            id="too_few_rows",
        ),
        pytest.param(
            {"teacher__sampling__samplesPerPrompt": 4},
            "spec.teacher.sampling.samplesPerPrompt: greedy answers are all the same, "
            "got 4 at temperature 0; use 1, or a temperature above 0",
            id="several_greedy_samples",
        ),
        pytest.param(
            {"teacher__sampling__topK": 0},
            "spec.teacher.sampling.topK: must be -1 (all) or 1 and more, got 0",
            id="top_k_zero",
        ),
        pytest.param(
            {"dataset__test__fields": {"user": "question"}},
            "spec.dataset.test.fields.gold: is missing, and MATH is scored on ground truth; "
            "name the column that holds it",
            id="no_test_gold",
        ),
        pytest.param(
            {"dataset__train__fields": {"messages": "m", "user": "u", "gold": "g"}},
            "spec.dataset.train.fields: takes messages or columns, not both, got messages and user; "
            "remove one of them",
            id="messages_and_columns",
        ),
        pytest.param(
            {"dataset__train__fields": {"premise": "p", "gold": "g"}},
            "spec.dataset.train.fields: are not the columns of MATH, got premise; "
            "map user, or use chat messages",
            id="columns_of_another_task",
        ),
        pytest.param(
            {"dataset__train__uri": "ftp://x/train.jsonl"},
            "spec.dataset.train.uri: must start with one of file://, s3://, hf://datasets/, "
            "got 'ftp://x/train.jsonl'",
            id="unknown_scheme",
        ),
        pytest.param(
            {"dataset__train__split": "dev"},
            "spec.dataset.train.split: only means something for hf://, got 'dev'; remove it",
            id="hub_field_without_hub",
        ),
        pytest.param(
            {"teacher__model__revision": "v2"},
            "spec.teacher.model.revision: only means something for hf://, got 'v2'; remove it",
            id="revision_without_hub",
        ),
        pytest.param(
            {"prompts__chainOfDensity": "write"},
            "spec.prompts.chainOfDensity: is never used, got a prompt; "
            "add ChainOfDensity to spec.teacher.prompts or remove it",
            id="prompt_never_used",
        ),
        pytest.param(
            {**CONVERSATION, "prompts__user": "Q: {question}"},
            "spec.prompts.user: is never used, for no split has columns, got a template; "
            "map fields or remove it",
            id="template_never_used",
        ),
        pytest.param(
            {"dataset__maxWords": 100},
            "spec.dataset.maxWords: is for SUMMARIZATION only, got 100; remove it",
            id="max_words_elsewhere",
        ),
        pytest.param(
            {"prompts__labels": ["a", "b"]},
            "spec.prompts.labels: MATH has no label space; remove it",
            id="labels_without_label_space",
        ),
        pytest.param(
            {"storage__endpointUrl": "http://localhost"},
            "spec.storage.endpointUrl: only means something for s3://, got 'http://localhost'; remove it",
            id="endpoint_for_a_folder",
        ),
        pytest.param(
            {"storage__uri": "hf://x"},
            "spec.storage.uri: must start with one of file://, s3://, got 'hf://x'",
            id="storage_on_the_hub",
        ),
        pytest.param(
            {"students__0__training": {"batchSize": 33}},
            "spec.students[0].training.batchSize: must be workers (1) x microBatchSize (8) x "
            "a whole number, got 33; change one of them",
            id="batch_that_does_not_divide",
        ),
        pytest.param(
            {"students__0__training": {"maxSteps": 10, "warmupSteps": 10}},
            "spec.students[0].training.warmupSteps: must be below maxSteps (10), got 10",
            id="all_warm_up",
        ),
        pytest.param(
            {"students__0__training": {"scheduler": "linear", "minLearningRateRatio": 0.1}},
            "spec.students[0].training.minLearningRateRatio: is for the cosine scheduler only, "
            "got linear; remove it",
            id="ratio_without_cosine",
        ),
        pytest.param(
            {"evaluation__engine": {"type": "transformers", "replicas": 2}},
            "spec.evaluation.engine.replicas: must be 1, evaluation runs one engine a model, got 2; "
            "remove it",
            id="evaluation_replicas",
        ),
        pytest.param(
            {"evaluation__engine": {"type": "vllm", "structuredOutputs": True}},
            "spec.evaluation.engine.structuredOutputs: is for the teacher: students are judged by "
            "what they say, got true; remove it",
            id="evaluation_structured",
        ),
        pytest.param(
            {"evaluation__promoteIf": {"arm": "Gold"}},
            "spec.evaluation.promoteIf.arm: student small has no such arm, got Gold; "
            "use an arm all students have",
            id="promotion_of_an_arm_nobody_has",
        ),
        pytest.param(
            {"teacher__engine": {"type": "vllm", "pipelineParallel": 2}},
            "spec.teacher.engine.pipelineParallel: needs GPUs, got 2 and tensorParallel 0, the "
            "CPU; set tensorParallel or remove it",
            id="pipeline_on_the_cpu",
        ),
        pytest.param(
            {"evaluation__engine": {"type": "vllm", "tensorParallel": 1, "pipelineParallel": 2}},
            "spec.evaluation.engine.pipelineParallel: must be 1, students are evaluated within a "
            "node, got 2; remove it",
            id="pipeline_of_students",
        ),
        pytest.param(
            {"evaluation__promoteIf": {"arm": "Base", "beats": "Vanilla"}},
            "spec.evaluation.promoteIf.arm: must be a trained arm other than beats (Vanilla), got Base",
            id="promotion_of_base",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_a_way_out(changes: dict, want: str) -> None:
    assert [str(problem) for problem in find_problems(make_job(**changes))] == [want]


def test_two_students_of_one_name_are_refused() -> None:
    student = make_job().spec.students[0].dump()
    job = make_job(students=[student, student])
    assert "spec.students[1].name: is another student's name already, got small; rename one" in [
        str(problem) for problem in find_problems(job)
    ]


def test_labels_must_differ_beyond_case() -> None:
    nli = {
        "task": "NLI",
        "dataset": {"train": CHAT, "validation": CHAT, "test": GOLD_CHAT},
        "prompts__labels": ["yes", "Yes"],
    }
    assert [str(problem) for problem in find_problems(make_job(**nli))] == [
        "spec.prompts.labels: must be two or more different labels, got yes, Yes"
    ]


def test_few_validation_rows_warn_and_do_not_refuse() -> None:
    job = make_job(dataset__validation__maxRows=12)
    assert find_problems(job) == []
    assert [str(warning) for warning in find_warnings(job)] == [
        "spec.dataset.validation.maxRows: is few to choose a checkpoint by, got 12; 40 or more are better"
    ]
