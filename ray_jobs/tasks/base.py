"""What a task must say of itself: its words to the model, how it reads answers, how it scores.

One module a task implements ``Task``; ``choosing.py`` makes it from the job's options. Everything
here is pure: no model, no storage, no file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from distillery.spec.dataset import PromptsSpec
from distillery.tasks import PromptVariant, TargetKind, TaskName
from ray_jobs.engines.base import Constraint, FinishReason
from ray_jobs.records import GoldRow, Message, PredictionRow, PromptRow, RowStatus


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What a job may change of a task."""

    labels: tuple[str, ...]
    prompts: PromptsSpec


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One lettered answer of a question."""

    label: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A data row that is no chat: the mapped columns the task needs, others empty."""

    user: str = ""
    premise: str = ""
    hypothesis: str = ""
    question: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What an answer says. ``answer`` is normalised and empty unless ``status`` is OK; ``reason``
    is the teacher's chain, for the report; ``detail`` says in a few words why it was rejected,
    without quoting it."""

    status: RowStatus
    answer: str = ""
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A prediction's parse and its own metric values by name; the primary metric is always among
    them (0 where the answer can't be parsed)."""

    parsed: Parsed
    scores: Mapping[str, float] = field(default_factory=dict)


class Task(Protocol):
    """One of the five tasks, with a job's options."""

    @property
    def name(self) -> TaskName: ...

    @property
    def primary_metric(self) -> str: ...

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over all words this task puts to a model, with the library's version."""

    def messages_from_columns(self, columns: Columns) -> tuple[Message, ...]:
        """The vanilla chat of a row given by columns. Raises ``SpecError`` naming the column."""

    def vanilla_messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """A chat row with the job's own vanilla system message, where it has one, put in place.
        Raises ``SpecError`` (reason ``WrongRoles``) where the order of roles is not the task's."""

    def row_labels(self, columns: Columns | None, messages: Sequence[Message]) -> tuple[str, ...]:
        """The row's label space; empty where the task has none."""

    def check_gold(self, gold: str, labels: Sequence[str]) -> str:
        """The gold value normalised. Raises ``SpecError`` (reason ``InvalidLabel``)."""

    def num_turns(self, row: PromptRow) -> int:
        """How many assistant turns there are to write: 1 outside CONVERSATION."""

    def prompt(
        self, row: PromptRow, variant: PromptVariant, replies: Sequence[str] = ()
    ) -> tuple[Message, ...]:
        """The chat to send for the turn after ``replies`` (the model's own earlier turns)."""

    def constraint(self, row: PromptRow, variant: PromptVariant) -> Constraint | None:
        """The form an answer can be forced into; None where there is none."""

    def parse_teacher(
        self, text: str, row: PromptRow, variant: PromptVariant, finish: FinishReason
    ) -> Parsed:
        """Reads a teacher's answer strictly: never a guess. A cut answer is TRUNCATED."""

    def parse_student(
        self, text: str, row: PromptRow, kind: TargetKind, finish: FinishReason
    ) -> Parsed:
        """Reads a student's answer, strictly, in the form it was trained to give."""

    def target_text(self, parsed: Parsed, kind: TargetKind) -> str:
        """The assistant turn to train on."""

    def gold_target(self, gold: GoldRow) -> str:
        """The assistant turn of the Gold arm."""

    def target_messages(self, row: PromptRow, targets: Sequence[str]) -> tuple[Message, ...]:
        """The vanilla chat with ``targets`` as its assistant turns: one training row."""

    def score(
        self, parsed: Parsed, row: PromptRow, gold: GoldRow | None, reference: str = ""
    ) -> Scored:
        """The row's metrics. ``reference`` is the teacher's own answer to the same turn
        (CONVERSATION: what agreement is measured against)."""

    def summarise(
        self, predictions: Sequence[PredictionRow], gold: Mapping[str, GoldRow]
    ) -> dict[str, float]:
        """Metrics over rows: the mean of every row score, and those that are no mean (macro-F1,
        ``..._parsable`` over parsable rows alone, ``unparsable_rate``)."""

    def constant_answer(self, gold: Sequence[GoldRow]) -> str | None:
        """The best single answer to all rows; None where a constant makes no sense."""
