"""Driving an engine over test rows: order, histories, and rows that the engine refuses."""

import logging
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from distillery.errors import SpecError
from distillery.tasks import PromptVariant, TaskName
from ray_jobs.answering.rows import Answered, Question, answer_rows
from ray_jobs.engines.base import Completion, EngineInfo, EngineStats, FinishReason, Request
from ray_jobs.records import Message, PromptRow, Split
from ray_jobs.rendering import Renderer
from tests.rows import make_any_task

Say = Callable[[Request], Completion]


class CharacterRenderer:
    """Token ids that are characters: ``role:content|`` a message."""

    def prompt_ids_many(self, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
        return [
            [ord(c) for message in turns for c in f"{message.role[0]}:{message.content}|"]
            for turns in conversations
        ]


class ScriptedEngine:
    """Answers the newest request first, one a step, as ``say`` has it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._queue: list[Request] = []
        self.prompts: list[str] = []
        self.requests: list[Request] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(type="scripted", version="1", max_model_len=100)

    def add(self, request: Request) -> None:
        self._queue.append(request)
        self.requests.append(request)
        self.prompts.append("".join(map(chr, request.prompt_ids)))

    def step(self) -> list[Completion]:
        return [self._say(self._queue.pop())]

    def num_unfinished(self) -> int:
        return len(self._queue)

    def abort(self, request_ids: Sequence[str]) -> None:
        raise NotImplementedError

    def stats(self) -> EngineStats:
        return EngineStats()

    def close(self) -> None:
        self._queue.clear()


def say_length(request: Request) -> Completion:
    return Completion(
        request_id=request.request_id,
        text=f"{request.request_id}{len(request.prompt_ids)}",
        finish_reason=FinishReason.STOP,
        num_prompt_tokens=len(request.prompt_ids),
        num_tokens=2,
    )


def refuse(request: Request) -> Completion:
    return Completion(
        request_id=request.request_id,
        text="",
        finish_reason=FinishReason.ERROR,
        num_prompt_tokens=0,
        num_tokens=0,
        error="prompt: too long, got 9; shorten it",
    )


def dialogue(row_id: str, *users: str) -> PromptRow:
    messages = [
        message
        for user in users
        for message in (
            Message(role="user", content=user),
            Message(role="assistant", content="recorded"),
        )
    ]
    return PromptRow(row_id=row_id, split=Split.TEST, messages=tuple(messages))


def answer(
    engine: ScriptedEngine, rows: Sequence[PromptRow]
) -> tuple[Answered, list[tuple[int, int]]]:
    progress: list[tuple[int, int]] = []
    answered = answer_rows(
        engine,
        cast("Renderer", CharacterRenderer()),
        make_any_task(TaskName.CONVERSATION),
        rows,
        question=Question(variant=PromptVariant.VANILLA, max_tokens=7, adapter="/adapter"),
        on_progress=lambda done, tokens: progress.append((done, tokens)),
    )
    return answered, progress


def test_each_dialogue_goes_on_from_its_own_replies() -> None:
    engine = ScriptedEngine(say_length)
    answered, progress = answer(engine, [dialogue("a", "x", "yy"), dialogue("b", "z")])
    assert engine.prompts == ["u:x|", "u:z|", "u:x|a:a4|u:yy|"]
    assert {key: given.text for key, given in answered.answers.items()} == {
        ("a", 0): "a4",
        ("b", 0): "b4",
        ("a", 1): "a14",
    }
    assert progress == [(1, 2), (2, 2), (3, 2)]


def test_requests_are_greedy_with_the_questions_limit_and_adapter() -> None:
    engine = ScriptedEngine(say_length)
    answer(engine, [dialogue("a", "x")])
    (request,) = engine.requests
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 7)
    assert request.adapter == "/adapter"


def test_rows_that_are_all_refused_are_an_error() -> None:
    with pytest.raises(
        SpecError,
        match="test rows: the engine must answer one at least, got prompt: too long, got 9",
    ) as caught:
        answer(ScriptedEngine(refuse), [dialogue("a", "x"), dialogue("b", "z")])
    assert caught.value.reason == "NothingAnswered"


def test_a_refused_row_ends_as_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = ScriptedEngine(lambda r: refuse(r) if r.request_id == "a" else say_length(r))
    with caplog.at_level(logging.WARNING):
        answered, _ = answer(engine, [dialogue("a", "x"), dialogue("b", "z")])
    assert answered.answers["a", 0].finish_reason is FinishReason.ERROR
    assert answered.answers["b", 0].text == "b4"
    assert "turns refused num=1" in caplog.text


def test_no_rows_are_no_answers() -> None:
    assert answer(ScriptedEngine(say_length), [])[0].answers == {}
