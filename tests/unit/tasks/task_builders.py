"""Builds tasks and rows for the tests of ``ray_jobs.tasks`` and ``ray_jobs.scoring``."""

from typing import Any

from distillery.spec.dataset import PromptsSpec
from distillery.tasks import TASK_FACTS, TaskName
from ray_jobs.records import Message, PredictionRow, PromptRow, RowStatus, Split
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task

NLI_LABELS = TASK_FACTS[TaskName.NLI].default_labels


def build_task(name: TaskName, *, labels: tuple[str, ...] | None = None, **prompts: Any) -> Task:
    """The task with its own labels, unless others are given, and these ``spec.prompts``."""
    chosen = TASK_FACTS[name].default_labels if labels is None else labels
    return make_task(name, TaskOptions(labels=chosen, prompts=PromptsSpec(**prompts)))


def build_chat(*turns: str, system: str = "") -> tuple[Message, ...]:
    """User and assistant in turn, after the system message where there is one."""
    head = (Message(role="system", content=system),) if system else ()
    roles = ("user", "assistant")
    return head + tuple(
        Message(role=roles[number % 2], content=turn) for number, turn in enumerate(turns)
    )


def build_row(
    *turns: str, system: str = "Be brief.", labels: tuple[str, ...] = (), row_id: str = "r1"
) -> PromptRow:
    """A prepared test row."""
    messages = build_chat(*(turns or ("Question: 3 + 4?",)), system=system)
    return PromptRow(row_id=row_id, split=Split.TEST, messages=messages, labels=labels)


def build_prediction(
    row_id: str, answer: str = "", *, status: RowStatus = RowStatus.OK, **scores: float
) -> PredictionRow:
    """A scored row."""
    return PredictionRow(
        row_id=row_id,
        group=row_id,
        text=answer,
        status=status,
        answer=answer,
        scores=tuple(scores.items()),
    )
