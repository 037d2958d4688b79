"""What the tasks with one user turn and one answer share: all but CONVERSATION.

``reasoned.py`` adds the chain of thought, ``summarization.py`` the chain of density. The words come
from ``prompt_library.py``, or from the job where it brings its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from distillery.errors import InvariantError, SpecError
from distillery.tasks import TASK_FACTS, PromptVariant, TargetKind, TaskName
from ray_jobs.engines.base import FinishReason
from ray_jobs.records import GoldRow, Message, PromptRow, RowStatus
from ray_jobs.tasks.base import Columns, Parsed, TaskOptions
from ray_jobs.tasks.parsing import (
    FENCED,
    ReasonedAnswer,
    read_reasoned,
    reject_unfinished,
    write_reasoned,
)
from ray_jobs.tasks.prompt_library import (
    LIBRARY,
    Words,
    check_user_template,
    fill,
    hash_words,
    prompt_settings,
)
from ray_jobs.tasks.roles import ASSISTANT, SYSTEM, USER, check_single_turn, replace_system

MAX_REASON_CHARS_PER_WORD = 12
"""Longest reasoning a constraint allows, a word: generous, so that it only stops run-on text."""


class SingleTurnTask(ABC):
    """A task whose row is [system,] user and whose answer is one assistant turn."""

    name: ClassVar[TaskName]
    needed_columns: ClassVar[tuple[str, ...]]

    def __init__(self, options: TaskOptions) -> None:
        self._options = options
        self._own_system = options.prompts.system
        self._settings = prompt_settings(options.prompts)
        if options.prompts.user:
            check_user_template(options.prompts.user)
        library = self._library()
        self._words = Words(
            system=library.system if self._own_system is None else self._own_system,
            user=options.prompts.user or library.user,
            advanced=self._own_advanced() or library.advanced,
        )

    @property
    def primary_metric(self) -> str:
        """The metric by which arms are compared."""
        return TASK_FACTS[self.name].primary_metric

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over all words this task puts to a model."""
        options = self._options
        return hash_words(self.name, self._words, options.labels, options.prompts)

    def messages_from_columns(self, columns: Columns) -> tuple[Message, ...]:
        """The vanilla chat of a row given by columns. Raises ``SpecError`` naming the column."""
        for column in self.needed_columns:
            value = getattr(columns, column)
            if not (value.strip() if isinstance(value, str) else value):
                raise SpecError(
                    f"{column}: {self.name} needs text here, got an empty value; "
                    f"map the column with fields.{column} and fill it in every row",
                    reason="EmptyColumn",
                )
        values = {**self._settings, **self._column_values(columns)}
        user = Message(role=USER, content=fill(self._words.user, values))
        system = self._words.system
        if self._own_system is None:
            system = fill(system, values)
        return (Message(role=SYSTEM, content=system), user) if system else (user,)

    def vanilla_messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """A chat row with the job's own system message, where it has one, put in place."""
        check_single_turn(messages, task=self.name)
        return replace_system(messages, self._own_system)

    def row_labels(self, columns: Columns | None, messages: Sequence[Message]) -> tuple[str, ...]:
        """The row's label space; empty where the task has none."""
        return ()

    def num_turns(self, row: PromptRow) -> int:
        """One answer a row."""
        return 1

    def prompt(
        self, row: PromptRow, variant: PromptVariant, replies: Sequence[str] = ()
    ) -> tuple[Message, ...]:
        """The chat to send. Raises ``SpecError`` for a variant the task does not have."""
        if replies:
            raise InvariantError(f"{row.row_id}: {self.name} has one turn, got earlier replies")
        if variant is PromptVariant.VANILLA:
            return row.messages
        check_variant(self.name, variant)
        advanced = self._words.advanced
        if not self._own_advanced():
            advanced = fill(advanced, self._settings)
        return self._advanced_messages(replace_system(row.messages, advanced), row)

    def parse_teacher(
        self, text: str, row: PromptRow, variant: PromptVariant, finish: FinishReason
    ) -> Parsed:
        """Reads a teacher's answer strictly: never a guess. A cut answer is TRUNCATED."""
        unfinished = reject_unfinished(text, finish)
        if unfinished is not None:
            return unfinished
        if variant is PromptVariant.VANILLA:
            return self._read_answer(text, row, is_whole_form=False)
        check_variant(self.name, variant)
        return self._read_advanced(text, row)

    def parse_student(
        self, text: str, row: PromptRow, kind: TargetKind, finish: FinishReason
    ) -> Parsed:
        """Reads a student's answer, strictly, in the form it was trained to give."""
        unfinished = reject_unfinished(text, finish)
        if unfinished is not None:
            return unfinished
        if kind is TargetKind.REASON_THEN_ANSWER:
            return self._read_reasoned(text, row)
        return self._read_answer(text, row, is_whole_form=False)

    def target_text(self, parsed: Parsed, kind: TargetKind) -> str:
        """The assistant turn to train on: the answer alone, or JSON with the reason before it."""
        if parsed.status is not RowStatus.OK:
            raise InvariantError(f"{self.name}: no target in an answer that is {parsed.status}")
        if kind is TargetKind.REASON_THEN_ANSWER:
            return write_reasoned(parsed.reason, parsed.answer)
        return parsed.answer

    def gold_target(self, gold: GoldRow) -> str:
        """The assistant turn of the Gold arm."""
        return gold.gold

    def target_messages(self, row: PromptRow, targets: Sequence[str]) -> tuple[Message, ...]:
        """The vanilla chat with the one target as its assistant turn."""
        if len(targets) != 1:
            raise InvariantError(f"{row.row_id}: {self.name} has one target, got {len(targets)}")
        return (*row.messages, Message(role=ASSISTANT, content=targets[0]))

    def _read_reasoned(self, text: str, row: PromptRow) -> Parsed:
        read = read_reasoned(text)
        return read if isinstance(read, Parsed) else self._judge_reasoned(read, row)

    def _judge_reasoned(self, read: ReasonedAnswer, row: PromptRow) -> Parsed:
        parsed = self._read_answer(read.answer, row, is_whole_form=True)
        if parsed.status is not RowStatus.OK:
            return parsed
        return Parsed(
            status=parsed.status,
            answer=parsed.answer,
            reason=read.reason,
            detail=FENCED if read.is_fenced else "",
        )

    def _library(self) -> Words:
        return LIBRARY[self.name]

    def _advanced_messages(
        self, messages: tuple[Message, ...], row: PromptRow
    ) -> tuple[Message, ...]:
        return messages

    def _column_values(self, columns: Columns) -> dict[str, str]:
        return {
            "user": columns.user,
            "premise": columns.premise,
            "hypothesis": columns.hypothesis,
            "question": columns.question,
            "choices": "\n".join(f"({choice.label}) {choice.text}" for choice in columns.choices),
            "labels": ", ".join(self._options.labels),
        }

    @abstractmethod
    def _own_advanced(self) -> str:
        """The job's own advanced system message; empty where it has none."""

    @abstractmethod
    def _read_answer(self, text: str, row: PromptRow, *, is_whole_form: bool) -> Parsed:
        """Reads the answer alone. ``is_whole_form``: the JSON around it was right."""

    @abstractmethod
    def _read_advanced(self, text: str, row: PromptRow) -> Parsed:
        """Reads the answer to the task's advanced prompt."""


def check_variant(task: TaskName, variant: PromptVariant) -> None:
    """Raises ``SpecError`` where the task has no such prompt."""
    variants = TASK_FACTS[task].variants
    if variant not in variants:
        raise SpecError(
            f"spec.teacher.prompts: {task} has no such prompt, got {variant}; "
            f"use {' or '.join(variants)}"
        )
