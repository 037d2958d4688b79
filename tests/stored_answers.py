"""Builders of stored answers for the tests of the store and the stage."""

import hashlib
from typing import Any

from ray_jobs.answers.reuse import Held, StoredAnswer
from ray_jobs.engines.base import FinishReason


def key(name: str) -> str:
    """A row key, as the store takes them."""
    return hashlib.sha256(name.encode()).hexdigest()


def make_answer(key: str = "k", **changes: Any) -> StoredAnswer:
    """An answer of 10 tokens that ended by itself."""
    values: dict[str, Any] = {
        "text": "8",
        "finish_reason": FinishReason.STOP,
        "num_prompt_tokens": 20,
        "num_tokens": 10,
        "max_model_len": 256,
    }
    return StoredAnswer(key=key, **(values | changes))


def make_held(segment: str, **changes: Any) -> Held:
    """The same, held by ``segment``."""
    return Held(segment=segment, answer=make_answer(**changes))
