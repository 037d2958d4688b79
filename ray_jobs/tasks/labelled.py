"""Tasks whose answer is one of a row's labels: NLI and NLU_QA."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from distillery.errors import SpecError
from ray_jobs.engines.base import Constraint
from ray_jobs.records import GoldRow, Message, PredictionRow, PromptRow
from ray_jobs.tasks.base import Columns, Parsed, TaskOptions
from ray_jobs.tasks.label_metrics import macro_f1
from ray_jobs.tasks.parsing import label_key, match_label, read_label
from ray_jobs.tasks.prompt_library import LABELS_SUFFIX, fill
from ray_jobs.tasks.reasoned import ReasonedTask
from ray_jobs.tasks.roles import USER

_MAX_LIST_CHARS = 100
_MAX_VALUE_CHARS = 40
_QUOTES = "'\"\u2018\u2019\u201c\u201d"


class LabelledTask(ReasonedTask):
    """A task with a closed set of answers; a row may have fewer of them than the job."""

    def __init__(self, options: TaskOptions) -> None:
        check_labels(options.labels)
        super().__init__(options)

    def row_labels(self, columns: Columns | None, messages: Sequence[Message]) -> tuple[str, ...]:
        """The job's labels."""
        return self._options.labels

    def check_gold(self, gold: str, labels: Sequence[str]) -> str:
        """The gold label as the label space writes it."""
        label = match_label(gold, labels)
        if label is None:
            raise SpecError(
                f"gold: not one of the labels, got {quote_value(gold)}; "
                f"use {list_labels(labels)}, or set spec.prompts.labels",
                reason="InvalidLabel",
            )
        return label

    def summarise(
        self, predictions: Sequence[PredictionRow], gold: Mapping[str, GoldRow]
    ) -> dict[str, float]:
        """Accuracy and macro-F1, over all rows and over parsable ones, and ``unparsable_rate``."""
        return {**super().summarise(predictions, gold), **macro_f1(predictions, gold)}

    def _advanced_messages(
        self, messages: tuple[Message, ...], row: PromptRow
    ) -> tuple[Message, ...]:
        if labels_stand_in("\n".join(message.content for message in messages), row.labels):
            return messages
        suffix = fill(LABELS_SUFFIX, {"labels": ", ".join(row.labels)})
        return tuple(
            Message(role=USER, content=f"{message.content}\n\n{suffix}")
            if message.role == USER
            else message
            for message in messages
        )

    def _read_answer(self, text: str, row: PromptRow, *, is_whole_form: bool) -> Parsed:
        return read_label(text, row.labels, is_whole_form=is_whole_form)

    def _vanilla_constraint(self, row: PromptRow) -> Constraint | None:
        return Constraint(choices=row.labels)

    def _answer_schema(self, row: PromptRow) -> dict[str, Any]:
        return {"type": "string", "enum": list(row.labels)}


def check_labels(labels: Sequence[str]) -> None:
    """Raises ``SpecError`` for fewer than two labels, or two that parsing can't tell apart."""
    if len(labels) < 2:
        raise SpecError(
            f"spec.prompts.labels: too few, got {len(labels)}; give at least two labels"
        )
    seen: dict[str, str] = {}
    for label in labels:
        key = label_key(label)
        if not key:
            raise SpecError(
                f"spec.prompts.labels: a label without text, got {quote_value(label)}; "
                "give it letters or digits"
            )
        if key in seen:
            raise SpecError(
                f"spec.prompts.labels: equal but for case, quotes or full stop, got "
                f"{quote_value(seen[key])} and {quote_value(label)}; keep one of them"
            )
        seen[key] = label


def labels_stand_in(text: str, labels: Sequence[str]) -> bool:
    """Whether each label can be read in ``text``: single characters as ``(A)``, ``A)``, ``A.``,
    ``A:`` or in quotes, longer ones as whole words in any case."""
    return all(_stands_in(text, label) for label in labels)


def _stands_in(text: str, label: str) -> bool:
    escaped = re.escape(label)
    if len(label) == 1:
        return bool(re.search(rf"(?<!\w){escaped}[).:]|[{_QUOTES}]{escaped}[{_QUOTES}]", text))
    return bool(re.search(rf"(?<!\w){escaped}(?!\w)", text, re.IGNORECASE))


def list_labels(labels: Sequence[str]) -> str:
    """The labels in a row, cut so that a message stays short."""
    text = ", ".join(labels)
    return text if len(text) <= _MAX_LIST_CHARS else f"{text[:_MAX_LIST_CHARS]}..."


def quote_value(value: str) -> str:
    """A short value in quotes, cut so that no message carries a document."""
    return repr(value if len(value) <= _MAX_VALUE_CHARS else f"{value[:_MAX_VALUE_CHARS]}...")
