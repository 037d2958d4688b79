"""Which stored answer wins, and whether it serves a job: DESIGN's reuse and winner rules, pure."""

from dataclasses import dataclass

from ray_jobs.engines.base import FinishReason
from ray_jobs.records import RowStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAnswer:
    """One answer as kept. ``finish_reason`` is never ERROR: failures are not stored.
    ``max_model_len`` is the context window (tokens) of the engine that gave it."""

    key: str
    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_tokens: int
    max_model_len: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """An answer and the segment that holds it; segment names sort by time."""

    segment: str
    answer: StoredAnswer


def winner(left: Held, right: Held) -> Held:
    """The one that counts of two answers to one key, whichever comes first.

    Complete before cut, longer cut before shorter, then the earliest segment. Of cuts of equal
    length the context window's comes first, and of those the largest window's: it is final, where
    a token limit might be raised.
    """
    return min(left, right, key=_rank)


def judge(answer: StoredAnswer, *, max_tokens: int, window: int | None) -> RowStatus | None:
    """How the answer serves a job: OK, TRUNCATED, or None if it must be generated again.

    Args:
        max_tokens: The longest answer the job takes.
        window: The context window of the job's engine in tokens; None: not known, then what any
            window cut stays cut.
    """
    if answer.finish_reason == FinishReason.STOP:
        return RowStatus.OK if answer.num_tokens <= max_tokens else RowStatus.TRUNCATED
    if answer.num_tokens >= max_tokens:
        return RowStatus.TRUNCATED
    is_window_cut = answer.finish_reason == FinishReason.CONTEXT
    if window is None:
        is_final = is_window_cut
    else:
        # A cut by a token limit is as final, once it fills all that this window has.
        num_filled = answer.num_prompt_tokens + answer.num_tokens
        is_final = window <= (answer.max_model_len if is_window_cut else num_filled)
    return RowStatus.TRUNCATED if is_final else None


def _rank(held: Held) -> tuple[bool, int, bool, int, str, int, int, str]:
    answer = held.answer
    is_cut = answer.finish_reason != FinishReason.STOP
    return (
        is_cut,
        -answer.num_tokens if is_cut else 0,
        answer.finish_reason == FinishReason.LENGTH,
        -answer.max_model_len if answer.finish_reason == FinishReason.CONTEXT else 0,
        held.segment,
        # One segment can't say what came first: any fixed order will do.
        answer.num_tokens,
        answer.max_model_len,
        answer.text,
    )
