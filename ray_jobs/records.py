"""The rows that pass between stages, one class a file format; each stage reads only these.

Rows are kept as Parquet by ``ray_jobs.tables`` (one column a field). Nothing here knows a task's
prompts or a model's template.
"""

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """Which data a row belongs to. Test rows are answered by the teacher for reference only."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class RowStatus(StrEnum):
    """How a row ended. Every row that enters a stage leaves it with exactly one of these."""

    OK = "ok"
    TRUNCATED = "truncated"
    UNPARSABLE = "unparsable"
    INVALID_LABEL = "invalid_label"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One chat turn; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """A prepared row: the vanilla prompt as chat messages. CONVERSATION keeps the recorded
    assistant turns, which only mark the turns to regenerate. ``labels`` is the row's label space
    (empty: the task has none). ``group`` joins rows that share a premise, for clustered intervals
    (the row id where nothing is shared). Never holds gold."""

    row_id: str
    split: Split
    messages: tuple[Message, ...]
    labels: tuple[str, ...] = ()
    group: str = ""
    num_words_cut: int = 0


@dataclass(frozen=True, kw_only=True)
class GoldRow:
    """The ground truth of a row, kept in a place of its own. ``gold`` is a label, a number as
    text, or a reference summary; ``accepted`` are further right answers (a second letter with the
    gold choice's text)."""

    row_id: str
    gold: str
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """The teacher's answer to (row, variant, sample, turn), named by generate's list.

    ``key`` is the row key in the answer store; ``text`` the raw answer; ``finish_reason`` a
    ``FinishReason`` value; ``reused`` whether it was found in the store instead of generated;
    ``num_turns`` how many turns the dialogue has (1 outside CONVERSATION).
    ``status`` is ERROR with ``reason`` where the teacher gave no answer at all, TRUNCATED where it
    was cut, else OK: parsing is curate's.
    """

    row_id: str
    split: Split
    variant: str
    sample: int
    turn: int
    num_turns: int
    key: str
    status: RowStatus
    reason: str = ""
    text: str = ""
    finish_reason: str = ""
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class RejectedRow:
    """An answer that is no use, for a person to read. ``text`` is stored and logged nowhere."""

    row_id: str
    split: Split
    variant: str
    sample: int
    turn: int
    status: RowStatus
    detail: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """One training row of an arm: the vanilla messages ending in the assistant's target."""

    row_id: str
    split: Split
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """A model's answer to a test row (one turn of it, in CONVERSATION) and what became of it.
    ``scores`` are the row's own metric values by name, from the task's ``score``."""

    row_id: str
    turn: int = 0
    group: str
    text: str
    status: RowStatus
    answer: str = ""
    finish_reason: str = ""
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    scores: tuple[tuple[str, float], ...] = ()
