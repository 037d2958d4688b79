"""The evaluate stage with real engines on a tiny student: a whole trial and adapter trials."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from distillery.errors import DistilleryError, SpecError
from distillery.evaluations import PREDICTIONS_NAME, Evaluation
from distillery.tasks import Arm
from ray_jobs.engines.base import EngineSettings, EngineType, Request, Sampling
from ray_jobs.engines.making import make_engine
from ray_jobs.records import Message, PredictionRow
from ray_jobs.rendering import Renderer
from ray_jobs.step import read_manifest
from ray_jobs.tables import load_rows
from tests.integration.evaluate.students import (
    SYSTEM,
    TRANSFORMERS,
    VLLM,
    Ran,
    Student,
    Weights,
    make_dialogue,
)

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("ray_session")]

MAX_TOKENS = 6


class Model:
    """A folder's model, asked directly: what the stage's answers must be."""

    def __init__(self, folder: Path) -> None:
        self._renderer = Renderer.from_folder(folder)
        settings = EngineSettings(type=EngineType.TRANSFORMERS)
        stops = self._renderer.stop_token_ids
        self._engine = make_engine(settings, folder, stop_token_ids=stops)

    def answer(self, messages: Sequence[Message]) -> str:
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=MAX_TOKENS)
        ids = self._renderer.prompt_ids(messages)
        self._engine.add(Request(request_id="one", prompt_ids=ids, sampling=sampling))
        (completion,) = self._engine.step()
        return completion.text


def evaluations_in(ran: Ran) -> list[Evaluation]:
    return [Evaluation.model_validate(item) for item in ran.result.summary["evaluations"]]


def predictions_of(student: Student, evaluation: Evaluation, scratch: Path) -> list[PredictionRow]:
    manifest = read_manifest(student.storage, evaluation.manifest)
    return load_rows(
        student.storage,
        evaluation.prefix,
        manifest,
        PREDICTIONS_NAME,
        PredictionRow,
        scratch=scratch / evaluation.sha256,
    )


@pytest.mark.parametrize("engine", [TRANSFORMERS, VLLM], ids=["transformers", "vllm"])
def test_every_model_answers_with_its_own_weights_and_is_answered_once(
    tmp_path: Path, weights: Weights, merged: Path, engine: dict[str, Any]
) -> None:
    student = Student(tmp_path, weights, engine, evaluation__maxTokens=MAX_TOKENS)
    trials = [
        student.trial(Arm.VANILLA, 0, weights.whole),
        student.trial(Arm.CHAIN_OF_THOUGHT, 0, weights.adapter),
    ]

    first = student.evaluate(student.config(trials))
    assert first.labels == [
        "loading",
        "Base",
        "Base asked ChainOfThought",
        "ChainOfThought seed 0",
        "Vanilla seed 0",
    ]
    found = evaluations_in(first)
    assert [(each.arm, each.seed, each.variant, each.num_rows) for each in found] == [
        ("Base", None, "Vanilla", 6),
        ("Base", None, "ChainOfThought", 6),
        ("Vanilla", 0, "Vanilla", 6),
        ("ChainOfThought", 0, "Vanilla", 6),
    ]
    base, _, whole, adapter = (predictions_of(student, each, tmp_path / "read") for each in found)
    for folder, predictions in ((weights.base, base), (weights.whole, whole), (merged, adapter)):
        model = Model(folder)
        assert [row.text for row in predictions] == [
            model.answer(row.messages) for row in student.rows
        ]
    assert [row.text for row in adapter] != [row.text for row in base]
    assert all(row.num_tokens <= MAX_TOKENS for row in (*base, *whole, *adapter))

    again = student.evaluate(student.config(trials))
    assert again.labels == []
    assert again.result.summary == first.result.summary

    more = [*trials, student.trial(Arm.CHAIN_OF_THOUGHT, 1, weights.other_adapter)]
    third = student.evaluate(student.config(more))
    assert third.labels == ["loading", "ChainOfThought seed 1"]
    assert evaluations_in(third)[:4] == found


def test_a_dialogue_goes_on_from_the_models_own_replies(tmp_path: Path, weights: Weights) -> None:
    dialogues = [
        make_dialogue("a", "How many coins?", "yes", "1 2 3"),
        make_dialogue("b", "Tom has 5 coins."),
    ]
    student = Student(
        tmp_path, weights, TRANSFORMERS, dialogues=dialogues, evaluation__maxTokens=MAX_TOKENS
    )
    ran = student.evaluate(student.config([]))
    (base,) = evaluations_in(ran)
    got = predictions_of(student, base, tmp_path / "read")

    model = Model(weights.base)
    history = [SYSTEM]
    want = []
    for user in ("How many coins?", "yes", "1 2 3"):
        history.append(Message(role="user", content=user))
        reply = model.answer(history)
        history.append(Message(role="assistant", content=reply))
        want.append(reply)
    want.append(model.answer([SYSTEM, Message(role="user", content="Tom has 5 coins.")]))
    assert [row.text for row in got] == want
    assert [(row.row_id, row.turn) for row in got] == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert base.num_rows == 2


def test_the_longest_answer_follows_from_the_targets(tmp_path: Path, weights: Weights) -> None:
    student = Student(tmp_path, weights, TRANSFORMERS)
    trials = [student.trial(Arm.VANILLA, 0, weights.adapter)]
    ran = student.evaluate(student.config(trials))
    assert ran.result.summary["maxTokens"] == 3  # "8" and the end of turn, and half as much again.


def test_a_template_other_than_the_trained_one_is_refused(tmp_path: Path, weights: Weights) -> None:
    student = Student(tmp_path, weights, TRANSFORMERS)
    with pytest.raises(SpecError, match="its chat template must be the one it was trained with"):
        student.evaluate(student.config([], template_hash="cd" * 32))


def test_rows_that_all_end_refused_are_no_result(tmp_path: Path, weights: Weights) -> None:
    engine = {**TRANSFORMERS, "maxModelLen": 16}
    student = Student(tmp_path, weights, engine, evaluation__maxTokens=2)
    with pytest.raises(
        SpecError, match="test rows: the engine must answer one at least, got prompt: must leave"
    ) as caught:
        student.evaluate(student.config([]))
    assert caught.value.reason == "NothingAnswered"


def test_a_model_the_engine_cannot_load_keeps_its_error(tmp_path: Path, weights: Weights) -> None:
    student = Student(tmp_path, weights, {**TRANSFORMERS, "maxModelLen": 100_000})
    with pytest.raises(DistilleryError, match="must be at most the model's own 256") as caught:
        student.evaluate(student.config([student.trial(Arm.VANILLA, 0, weights.adapter)]))
    assert type(caught.value) is SpecError
