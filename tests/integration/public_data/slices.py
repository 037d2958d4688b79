"""Small slices of the public sets, one a task, and the job that distils on each.

Each source is read the way its README describes it: chat rows as they are, columns by ``fields``.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillery.tasks import Arm, TaskName

NUM_TRAIN = 65
NUM_VALIDATION = 16
NUM_TEST = 64

LORA = {"type": "lora", "rank": 4, "targetModules": ["q_proj", "v_proj"]}
FULL = {"type": "full"}
"""Its answers need no adapter, which vLLM is slow with on a CPU."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One task's data and what is particular about its job. ``arms`` are also the
    teacher's prompts. ``max_tokens`` bounds the teacher, ``answer_tokens`` the student."""

    task: TaskName
    dataset: Mapping[str, Any]
    arms: tuple[Arm, ...]
    method: Mapping[str, Any]
    max_tokens: int
    answer_tokens: int = 8
    prompts: Mapping[str, Any] = field(default_factory=dict)


def make_slice(task: TaskName, data: Path, folder: Path) -> Slice:
    """Writes the task's three files below ``folder``.

    Args:
        data: The folder of the public sets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    match task:
        case TaskName.NLI:
            return _nli(data / "conjnli", folder)
        case TaskName.NLU_QA:
            return _nlu_qa(data / "commonsense_qa", folder)
        case TaskName.MATH:
            return _math(data / "multiarith", folder)
        case TaskName.SUMMARIZATION:
            return _summarization(data / "chain_of_density", folder)
        case TaskName.CONVERSATION:
            return _conversation(data / "baize_quora", folder)


def _nli(source: Path, folder: Path) -> Slice:
    adversarial = _lines(source / "adversarial_train_15k.tsv")
    dev = _lines(source / "conj_dev.tsv")
    header = adversarial[0]
    validation = adversarial[513 : 513 + NUM_VALIDATION]
    fields = {"premise": "Premise", "hypothesis": "Hypothesis", "gold": "Label"}
    return Slice(
        task=TaskName.NLI,
        dataset={
            "train": _write(folder / "train.tsv", adversarial[: NUM_TRAIN + 1], fields),
            "validation": _write(folder / "validation.tsv", [header, *validation], fields),
            "test": _write(folder / "test.tsv", dev[: NUM_TEST + 1], fields),
        },
        arms=(Arm.VANILLA, Arm.CHAIN_OF_THOUGHT),
        method=LORA,
        max_tokens=64,
        prompts={"maxReasonWords": 16},
    )


def _nlu_qa(source: Path, folder: Path) -> Slice:
    train = _lines(source / "train_rand_split.jsonl")
    dev = _lines(source / "dev_rand_split.jsonl")
    fields = {"question": "question.stem", "choices": "question.choices", "gold": "answerKey"}
    return Slice(
        task=TaskName.NLU_QA,
        dataset={
            "train": _write(folder / "train.jsonl", train[:NUM_TRAIN], fields),
            "validation": _write(folder / "validation.jsonl", dev[:NUM_VALIDATION], fields),
            "test": _write(folder / "test.jsonl", dev[256 : 256 + NUM_TEST], fields),
        },
        arms=(Arm.CHAIN_OF_THOUGHT,),
        method=LORA,
        max_tokens=64,
        prompts={"maxReasonWords": 16},
    )


def _math(source: Path, folder: Path) -> Slice:
    train = _lines(source / "train_math.jsonl")
    validation = _lines(source / "validation_math.jsonl")
    asked = {_question(line) for line in itertools.chain(train, validation)}
    problems = json.loads((source / "MultiArith.json").read_text("utf-8"))
    # The whole set asks some questions twice; each once is enough, and none that was trained on.
    by_question = {_normal(problem["sQuestion"]): problem for problem in problems}
    test = [
        json.dumps({"question": problem["sQuestion"], "answer": problem["lSolutions"][0]})
        for question, problem in by_question.items()
        if question not in asked
    ]
    system = json.loads(train[0])["messages"][0]["content"]
    return Slice(
        task=TaskName.MATH,
        dataset={
            "train": _write(folder / "train.jsonl", train[:NUM_TRAIN]),
            "validation": _write(folder / "validation.jsonl", validation[:NUM_VALIDATION]),
            "test": _write(
                folder / "test.jsonl", test[:NUM_TEST], {"user": "question", "gold": "answer"}
            ),
        },
        arms=(Arm.CHAIN_OF_THOUGHT,),
        method=FULL,
        max_tokens=64,
        # The test rows have no system message of their own; the chat rows have this one.
        prompts={"maxReasonWords": 16, "system": system},
    )


def _summarization(source: Path, folder: Path) -> Slice:
    train = _lines(source / "train_summarization.jsonl")
    validation = _lines(source / "validation_summarization.jsonl")
    test = validation[NUM_VALIDATION : NUM_VALIDATION + NUM_TEST]
    return Slice(
        task=TaskName.SUMMARIZATION,
        dataset={
            "train": _write(folder / "train.jsonl", train[:NUM_TRAIN]),
            "validation": _write(folder / "validation.jsonl", validation[:NUM_VALIDATION]),
            "test": _write(folder / "test.jsonl", test),
            "maxWords": 60,
        },
        arms=(Arm.CHAIN_OF_DENSITY,),
        method=FULL,
        max_tokens=96,
        answer_tokens=24,
        prompts={"maxSummaryWords": 16, "densityRounds": 2},
    )


def _conversation(source: Path, folder: Path) -> Slice:
    # The shortest dialogues: each turn is an answer of its own.
    train = sorted(_lines(source / "train_conversation.jsonl"), key=_num_turns)
    validation = sorted(_lines(source / "validation_conversation.jsonl"), key=_num_turns)
    return Slice(
        task=TaskName.CONVERSATION,
        dataset={
            "train": _write(folder / "train.jsonl", train[:NUM_TRAIN]),
            "validation": _write(
                folder / "validation.jsonl", validation[NUM_TEST : NUM_TEST + NUM_VALIDATION]
            ),
            "test": _write(folder / "test.jsonl", validation[:NUM_TEST]),
        },
        arms=(Arm.VANILLA,),
        method=FULL,
        # A model of this size rambles on under the data's own system message.
        max_tokens=128,
        answer_tokens=12,
        prompts={"system": "Reply in one short sentence."},
    )


def make_document(piece: Slice, *, model: Path, storage: Mapping[str, Any]) -> dict[str, Any]:
    """The job: teacher and student are the same small model, trained for few steps, so that all of
    the path runs and nothing is learnt."""
    arms = [arm.value for arm in piece.arms]
    engine = {"type": "vllm", "maxNumSeqs": 64, "kvCacheGib": 2, "enforceEager": True}
    return {
        "apiVersion": "distillery.dev/v1alpha1",
        "kind": "DistillationJob",
        "metadata": {"name": piece.task.value.lower().replace("_", "-")},
        "spec": {
            "task": piece.task.value,
            "dataset": dict(piece.dataset),
            "prompts": dict(piece.prompts),
            "teacher": {
                "model": {"uri": str(model)},
                "engine": {**engine, "structuredOutputs": True},
                "prompts": arms,
                "sampling": {"temperature": 0, "topP": 1, "maxTokens": piece.max_tokens},
                "minSuccessRatio": 0.05,
            },
            "students": [
                {
                    "name": "small",
                    "model": {"uri": str(model)},
                    "method": dict(piece.method),
                    "workers": {"replicas": 1, "cpus": 2},
                    "training": {
                        "maxSteps": 2,
                        "batchSize": 4,
                        "microBatchSize": 4,
                        "maxLength": 1024,
                        "evalSteps": 2,
                        "precision": "fp32",
                    },
                    "arms": arms,
                }
            ],
            "evaluation": {"engine": engine, "maxTokens": piece.answer_tokens},
            "storage": dict(storage),
        },
    }


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").split("\n") if line]


def _write(path: Path, lines: Iterable[str], fields: Mapping[str, str] | None = None) -> Any:
    path.write_text("\n".join(lines), "utf-8")
    source: dict[str, Any] = {"uri": str(path)}
    return {**source, "fields": dict(fields)} if fields else source


def _num_turns(line: str) -> int:
    return len(json.loads(line)["messages"])


def _question(line: str) -> str:
    return _normal(re.sub("^Question:", "", json.loads(line)["messages"][1]["content"]))


def _normal(text: str) -> str:
    return " ".join(text.split()).lower()
