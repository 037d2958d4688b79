"""Drives one engine over all test rows: greedy, the training renderer, every turn.

Dialogues are answered turn by turn on the model's own replies. Knows no storage, no Ray and no
metric.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distillery.errors import MAX_MESSAGE_CHARS, SpecError
from distillery.tasks import PromptVariant
from ray_jobs.engines.base import Completion, Engine, Request, Sampling
from ray_jobs.records import PromptRow
from ray_jobs.rendering import Renderer
from ray_jobs.scoring import GivenAnswer, TurnKey
from ray_jobs.tasks.base import Task

_LOG = logging.getLogger(__name__)

OnProgress = Callable[[int, int], None]
"""Called with turns answered in all, and tokens generated since the last call."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """How the rows are put: the prompt, the longest answer, and the adapter folder if any."""

    variant: PromptVariant
    max_tokens: int
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Every turn's answer, and the seconds from the first request to the last answer."""

    answers: dict[TurnKey, GivenAnswer]
    seconds: float


def answer_rows(
    engine: Engine,
    renderer: Renderer,
    task: Task,
    rows: Sequence[PromptRow],
    *,
    question: Question,
    on_progress: OnProgress,
) -> Answered:
    """Answers every turn of ``rows``. A turn the engine refuses ends as ``FinishReason.ERROR``.

    Raises:
        SpecError: ``NothingAnswered`` where that is so for every row: then the figures would say
            nothing of the model.
    """
    started_s = time.monotonic()
    answers: dict[TurnKey, GivenAnswer] = {}
    refusals: list[str] = []
    replies: dict[str, list[str]] = {row.row_id: [] for row in rows}
    num_turns = max((task.num_turns(row) for row in rows), default=0)
    for turn in range(num_turns):
        asked = [row for row in rows if turn < task.num_turns(row)]
        prompts = renderer.prompt_ids_many(
            [task.prompt(row, question.variant, replies[row.row_id]) for row in asked]
        )
        for row, ids in zip(asked, prompts, strict=True):
            engine.add(_request(row.row_id, ids, question))
        while engine.num_unfinished():
            completions = engine.step()
            refusals += [item.error for item in completions if item.error]
            for completion in completions:
                answers[(completion.request_id, turn)] = _given(completion)
                replies[completion.request_id].append(completion.text)
            if completions:
                on_progress(len(answers), sum(item.num_tokens for item in completions))
        if asked and len(refusals) == len(answers):
            raise SpecError(
                f"test rows: the engine must answer one at least, got {refusals[0]}"[
                    :MAX_MESSAGE_CHARS
                ],
                reason="NothingAnswered",
            )
    if refusals:
        _LOG.warning("turns refused num=%d first=%s", len(refusals), refusals[0])
    return Answered(answers=answers, seconds=time.monotonic() - started_s)


def _request(row_id: str, ids: Sequence[int], question: Question) -> Request:
    return Request(
        request_id=row_id,
        prompt_ids=ids,
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=question.max_tokens),
        adapter=question.adapter,
    )


def _given(completion: Completion) -> GivenAnswer:
    return GivenAnswer(
        text=completion.text,
        finish_reason=completion.finish_reason,
        num_prompt_tokens=completion.num_prompt_tokens,
        num_tokens=completion.num_tokens,
    )
