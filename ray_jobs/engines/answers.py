"""What all engines say alike: which requests can't be answered, why an answer ended, its text."""

from collections.abc import Sequence
from typing import Any

from ray_jobs.engines.base import Completion, FinishReason, Request


def refuse_request(
    request: Request, *, max_model_len: int, vocab_size: int, max_adapters: int
) -> str:
    """Why this request can't be answered at all, or "" if it can."""
    length = len(request.prompt_ids)
    if length == 0:
        return "prompt: must hold a token, got none; send the rendered prompt"
    if length >= max_model_len:
        return (
            f"prompt: must leave room for an answer in maxModelLen ({max_model_len} tokens), "
            f"got {length} tokens; raise maxModelLen or shorten the prompt"
        )
    smallest, largest = min(request.prompt_ids), max(request.prompt_ids)
    if smallest < 0 or largest >= vocab_size:
        return (
            f"prompt: token ids must be in the model's vocabulary of {vocab_size}, "
            f"got {smallest} to {largest}; use the model's own tokenizer"
        )
    if request.adapter is not None and not max_adapters:
        return (
            "adapter: the engine was made without room for adapters, got one; "
            "make it with max_adapters"
        )
    return ""


def failed(request: Request, error: str) -> Completion:
    """The completion of a request the engine could not answer."""
    return Completion(
        request_id=request.request_id,
        text="",
        finish_reason=FinishReason.ERROR,
        num_prompt_tokens=len(request.prompt_ids),
        num_tokens=0,
        error=error[:256],
    )


def cut_reason(num_tokens: int, max_tokens: int) -> FinishReason:
    """Why an answer that did not end by itself was cut."""
    return FinishReason.LENGTH if num_tokens >= max_tokens else FinishReason.CONTEXT


def decode_answer(tokenizer: Any, ids: Sequence[int], stop_ids: frozenset[int]) -> str:
    """The answer's text without special tokens and without the token that ended it."""
    kept = ids[:-1] if ids and ids[-1] in stop_ids else ids
    text: str = tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def cut_at_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the stop string that comes first, and whether there was one."""
    places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)
