"""NLU_QA: a question with lettered choices.

A row's labels are the letters of its own choices, which may be fewer than the job's. Two choices
with the same text are equally right: ``accepted_answers`` finds the second letter.
"""

import re
from collections.abc import Sequence

from distillery.errors import SpecError
from distillery.tasks import TaskName
from ray_jobs.records import Message
from ray_jobs.tasks.base import Choice, Columns
from ray_jobs.tasks.labelled import LabelledTask, list_labels, quote_value
from ray_jobs.tasks.parsing import match_label
from ray_jobs.tasks.roles import USER

_CHOICE_LINE = re.compile(r"^[ \t]*\(([A-Za-z0-9])\)[ \t]+(\S.*?)[ \t]*$")
_MIN_CHOICES = 2


class NluQaTask(LabelledTask):
    """Multiple choice; the answer is a letter."""

    name = TaskName.NLU_QA
    needed_columns = ("question", "choices")

    def messages_from_columns(self, columns: Columns) -> tuple[Message, ...]:
        """The vanilla chat of a row. Choices without letters get the job's labels in order."""
        choices = label_choices(columns.choices, self._options.labels) if columns.choices else ()
        return super().messages_from_columns(
            Columns(
                user=columns.user,
                premise=columns.premise,
                hypothesis=columns.hypothesis,
                question=columns.question,
                choices=choices,
            )
        )

    def row_labels(self, columns: Columns | None, messages: Sequence[Message]) -> tuple[str, ...]:
        """The letters of the row's choices; the job's labels where the chat shows none."""
        if columns is not None and columns.choices:
            choices = label_choices(columns.choices, self._options.labels)
        else:
            choices = parse_choices(messages)
        letters = tuple(choice.label for choice in choices)
        return (
            letters
            if set(letters) <= set(self._options.labels) and letters
            else self._options.labels
        )

    def _column_values(self, columns: Columns) -> dict[str, str]:
        values = super()._column_values(columns)
        return {**values, "labels": ", ".join(choice.label for choice in columns.choices)}


def label_choices(choices: Sequence[Choice], labels: Sequence[str]) -> tuple[Choice, ...]:
    """The choices, each with a letter of the label space.

    Raises ``SpecError``: fewer than two choices, more than there are labels, a letter outside the
    label space or twice, a choice without text.
    """
    if not _MIN_CHOICES <= len(choices) <= len(labels):
        raise SpecError(
            f"choices: a question takes {_MIN_CHOICES} to {len(labels)} of them, got "
            f"{len(choices)}; mend the row, or set spec.prompts.labels"
        )
    lettered = []
    for choice, spare in zip(choices, labels, strict=False):
        label = match_label(choice.label, labels) if choice.label else spare
        if label is None:
            raise SpecError(
                f"choices: a letter outside the labels, got {quote_value(choice.label)}; "
                f"use {list_labels(labels)}, or set spec.prompts.labels",
                reason="InvalidLabel",
            )
        if not choice.text.strip():
            raise SpecError(f"choices: choice {label} has no text, got a blank; fill it in")
        lettered.append(Choice(label=label, text=choice.text))
    letters = [choice.label for choice in lettered]
    if len(set(letters)) < len(letters):
        raise SpecError(
            f"choices: a letter stands twice, got {list_labels(letters)}; give each its own"
        )
    return tuple(lettered)


def parse_choices(messages: Sequence[Message]) -> tuple[Choice, ...]:
    """The choices shown in a chat's user turn, read conservatively; empty where in doubt.

    They are the lines ``(A) text``: one block without another line in it, the only such lines of
    the turn, lettered A, B, C... (or 1, 2, 3...) without a gap. Used for labels and for equal
    choices only, never for a prompt.
    """
    lines = "\n".join(message.content for message in messages if message.role == USER).split("\n")
    found = [
        (number, match) for number, line in enumerate(lines) if (match := _CHOICE_LINE.match(line))
    ]
    if len(found) < _MIN_CHOICES:
        return ()
    first_line, first = found[0]
    if first[1] not in ("A", "a", "1"):
        return ()
    for offset, (number, match) in enumerate(found):
        if number != first_line + offset or ord(match[1]) != ord(first[1]) + offset:
            return ()
    return tuple(Choice(label=match[1], text=match[2]) for _, match in found)


def accepted_answers(gold: str, choices: Sequence[Choice]) -> tuple[str, ...]:
    """The other letters whose choice has the gold choice's text, white space and case aside."""
    texts = {choice.label: " ".join(choice.text.split()).casefold() for choice in choices}
    if gold not in texts:
        return ()
    return tuple(label for label, text in texts.items() if label != gold and text == texts[gold])
