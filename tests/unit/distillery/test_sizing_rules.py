"""What can't fit is refused before a pod starts, with the numbers and a way out."""

import pytest

from distillery.validation.rules import find_problems, find_problems_but_sizing
from tests.builders import make_job

H100 = {"kind": "H100-80GB"}
_405B = "hf://meta-llama/Llama-3.1-405B-Instruct"
BIG_DISK = {"runtime__gpus": H100, "runtime__scratchGib": 2000}


def teacher(uri: str, **engine: object) -> dict:
    return {
        **BIG_DISK,
        "teacher__model": {"uri": uri},
        "teacher__engine": {"type": "vllm", "tensorParallel": 8, **engine},
    }


def student(uri: str, **changes: object) -> dict:
    return {
        **BIG_DISK,
        "students__0__model": {"uri": uri},
        "students__0__workers": {"replicas": 1, "gpus": 1},
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(teacher(f"{_405B}-FP8", maxModelLen=8192), id="fp8_on_eight"),
        pytest.param(
            {**teacher(_405B), "runtime__gpus": None, "runtime__scratchGib": 20}, id="no_gpus_said"
        ),
        pytest.param(teacher("hf://someone/unknown"), id="unknown_model"),
        pytest.param(teacher(_405B, tensorParallel=0), id="on_a_cpu"),
        pytest.param(
            {**teacher(_405B), "teacher__engine": {"type": "transformers"}}, id="transformers"
        ),
        pytest.param(
            {**BIG_DISK, "teacher__model": {"uri": "file:///models/Llama-3.1-8B"}}, id="own_folder"
        ),
        pytest.param(student("hf://meta-llama/Llama-3.2-1B-Instruct"), id="small_student"),
        pytest.param(student("hf://someone/unknown"), id="unknown_student"),
    ],
)
def test_what_fits_or_is_not_known_is_accepted(changes: dict) -> None:
    assert find_problems(make_job(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            teacher(_405B),
            "spec.teacher.engine.tensorParallel: 756 GiB of BF16 weights don't fit 8 x H100-80GB "
            "(550 GiB to use), got TP8 x PP1; use TP8 x PP2",
            id="bf16_on_eight",
        ),
        pytest.param(
            {**teacher(_405B), "runtime__gpus": {"kind": "A100-40GB"}},
            "spec.teacher.engine.tensorParallel: 756 GiB of BF16 weights don't fit 8 x A100-40GB "
            "(254 GiB to use), got TP8 x PP1; use TP8 x PP4",
            id="bf16_on_small_ones",
        ),
        pytest.param(
            {**teacher(_405B), "runtime__gpus": {"kind": "A100-40GB", "perNode": 2}},
            "spec.teacher.engine.tensorParallel: must divide gpusPerNode (2), got 8; use 1 or 2",
            id="tensor_parallel_beyond_a_node",
        ),
        pytest.param(
            {
                **teacher(_405B, tensorParallel=2),
                "runtime__gpus": {"kind": "A100-40GB", "perNode": 2},
            },
            "spec.teacher.engine.tensorParallel: 756 GiB of BF16 weights don't fit 2 x A100-40GB "
            "(63 GiB to use), got TP2 x PP1; use a smaller or quantised model",
            id="nothing_holds_it",
        ),
        pytest.param(
            teacher("hf://Qwen/Qwen2.5-7B-Instruct"),
            "spec.teacher.engine.tensorParallel: must divide the model's 28 heads, got 8; "
            "use 1, 2 or 4",
            id="heads",
        ),
        pytest.param(
            {
                **teacher("hf://mistralai/Mistral-Large-Instruct", tensorParallel=12),
                "runtime__gpus": {"kind": "H100-80GB", "perNode": 12},
            },
            "spec.teacher.engine.tensorParallel: must divide the model's 8 KV heads or be a "
            "multiple of them, got 12; use 1, 2 or 4",
            id="kv_heads",
        ),
        pytest.param(
            {
                **teacher(f"{_405B}-FP8", maxModelLen=400_000),
            },
            "spec.teacher.engine.maxModelLen: one sequence of 400000 tokens must fit the KV cache "
            "of TP8 x PP1, got room for 334328; lower it, or use more GPUs",
            id="one_sequence",
        ),
        pytest.param(
            {
                **teacher(f"{_405B}-FP8"),
                "runtime__modelCache": {"type": "ephemeral", "sizeGib": 400},
            },
            "spec.runtime.modelCache.sizeGib: must hold spec.teacher.model.uri with a tenth to "
            "spare, got 400; use 421 or more",
            id="cache",
        ),
        pytest.param(
            {**teacher(f"{_405B}-FP8"), "runtime__scratchGib": 20},
            "spec.runtime.scratchGib: must hold spec.teacher.model.uri with a tenth to spare, "
            "got 20; use 421 or more, or a modelCache",
            id="scratch",
        ),
        pytest.param(
            student(
                "hf://meta-llama/Llama-3.1-70B-Instruct",
                students__0__method={"type": "full"},
                students__0__training={"microBatchSize": 1, "maxLength": 512},
            ),
            "spec.students[0].workers: training needs 1,066 GiB a GPU, got H100-80GB with 79.65 "
            "GiB; use deepspeedStage 3, gradientCheckpointing, method lora, or more workers",
            id="student",
        ),
        pytest.param(
            student(
                "hf://meta-llama/Llama-3.1-70B-Instruct",
                students__0__method={"type": "lora"},
                students__0__training={
                    "microBatchSize": 8,
                    "deepspeedStage": 3,
                    "gradientCheckpointing": True,
                },
            ),
            "spec.students[0].workers: training needs 319 GiB a GPU, got H100-80GB with 79.65 "
            "GiB; use a smaller microBatchSize, or more workers",
            id="student_that_saves_already",
        ),
    ],
)
def test_what_cannot_fit_is_refused_with_the_numbers(changes: dict, want: str) -> None:
    job = make_job(**changes)
    assert [str(problem) for problem in find_problems(job)] == [want]
    assert len(want.partition(": ")[2]) <= 256
    assert find_problems_but_sizing(job) == []
