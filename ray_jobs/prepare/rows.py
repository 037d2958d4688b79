"""A raw row to a prepared one: the task's vanilla chat, label space, gold, and its identity.

The identity (``key``) is the row's words: every turn but the system message and recorded assistant
turns, white space and case made equal. Rows of one key ask the same, so they are duplicates, and
what is left after those are removed has a ``row_id`` of its own: 16 hex digits of the key's
SHA-256. It doesn't depend on the split, the order of rows, or gold.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distillery.errors import SpecError
from distillery.manifests import canonical_json, sha256_hex
from distillery.spec.dataset import Fields
from distillery.tasks import TaskName
from ray_jobs.prepare.columns import read_columns, read_messages, read_text
from ray_jobs.prepare.readers import RawRow
from ray_jobs.records import GoldRow, Message, PromptRow, Split
from ray_jobs.tasks.base import Columns, Task
from ray_jobs.tasks.nlu_qa import accepted_answers, label_choices, parse_choices
from ray_jobs.tasks.roles import ASSISTANT, SYSTEM, USER

ROW_ID_CHARS = 16
MISSING_GOLD = "GoldMissing"
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A prepared row and where it came from; ``number`` is the file's line or row."""

    number: int
    key: str
    prompt: PromptRow
    gold: GoldRow | None


@dataclass(frozen=True, kw_only=True)
class RowMaker:
    """Makes the drafts of one split.

    Args:
        max_words: Longest user turn in words; longer ones are cut there.
        needs_gold: A row without gold is an error.
    """

    task: Task
    split: Split
    fields: Fields
    max_words: int | None = None
    needs_gold: bool = False

    def make(self, raw: RawRow) -> Draft:
        """The draft of ``raw``. Raises ``SpecError``, worded for one row."""
        chat = read_messages(raw.values, self.fields)
        columns = None if chat is not None else read_columns(raw.values, self.fields)
        num_cut = 0
        if columns is not None:
            user, num_cut = cut_words(columns.user, self.max_words)
            columns = replace(columns, user=user)
            messages = self.task.messages_from_columns(columns)
        else:
            messages, num_cut = _cut_user(self.task.vanilla_messages(chat or ()), self.max_words)
        labels = self.task.row_labels(columns, messages)
        key = content_key(messages)
        row_id = sha256_hex(key.encode())[:ROW_ID_CHARS]
        prompt = PromptRow(
            row_id=row_id,
            split=self.split,
            messages=messages,
            labels=labels,
            group=self._group(raw, columns) or row_id,
            num_words_cut=num_cut,
        )
        return Draft(
            number=raw.number, key=key, prompt=prompt, gold=self._gold(raw, prompt, columns)
        )

    def _group(self, raw: RawRow, columns: Columns | None) -> str:
        """What the row shares with others, hashed; empty where it stands alone."""
        text = read_text(raw.values, self.fields.group)
        if not text and columns is not None:
            text = columns.premise
        return sha256_hex(normalise(text).encode())[:ROW_ID_CHARS] if text else ""

    def _gold(self, raw: RawRow, prompt: PromptRow, columns: Columns | None) -> GoldRow | None:
        text = read_text(raw.values, self.fields.gold)
        if not text:
            if self.needs_gold:
                raise SpecError(
                    f"gold: {self.split} needs ground truth in every row, got none; "
                    f"name its column in dataset.{self.split}.fields.gold, and fill it in",
                    reason=MISSING_GOLD,
                )
            return None
        gold = self.task.check_gold(text, prompt.labels)
        accepted: tuple[str, ...] = ()
        if self.task.name == TaskName.NLU_QA:
            choices = (
                label_choices(columns.choices, prompt.labels)
                if columns is not None and columns.choices
                else parse_choices(prompt.messages)
            )
            accepted = accepted_answers(gold, choices)
        return GoldRow(row_id=prompt.row_id, gold=gold, accepted=accepted)


def normalise(text: str) -> str:
    """``text`` in lower case with single spaces: what counts as the same words."""
    return " ".join(text.split()).lower()


def content_key(messages: Sequence[Message]) -> str:
    """The row's identity; see the module."""
    turns = [normalise(turn.content) for turn in messages if turn.role not in (SYSTEM, ASSISTANT)]
    return canonical_json(turns).decode()


def cut_words(text: str, max_words: int | None) -> tuple[str, int]:
    """``text`` up to the end of its ``max_words``-th word, and how many words were cut off."""
    if max_words is None:
        return text, 0
    ends = [match.end() for match in _WORD.finditer(text)]
    if len(ends) <= max_words:
        return text, 0
    return text[: ends[max_words - 1]], len(ends) - max_words


def _cut_user(
    messages: Sequence[Message], max_words: int | None
) -> tuple[tuple[Message, ...], int]:
    cut: list[Message] = []
    total = 0
    for message in messages:
        content, num_cut = (
            cut_words(message.content, max_words) if message.role == USER else (message.content, 0)
        )
        cut.append(replace(message, content=content))
        total += num_cut
    return tuple(cut), total
