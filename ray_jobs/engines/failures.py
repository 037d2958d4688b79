"""Turns what the ML libraries raise into the error tree, for loading a model and running it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillery.errors import DistilleryError, ExternalError, ResourceError, SpecError, word

_OUT_OF_MEMORY_TYPES = ("OutOfMemoryError", "MemoryError")
_OUT_OF_MEMORY_WORDS = (
    "not enough memory",  # torch's CPU allocator, on the host
    "can't allocate memory",
    "out of memory",
    "less than requested memory",  # vLLM: kv_cache_gib above what is free
    "less than desired",  # vLLM: gpu_memory_utilization above what is free
)
_CACHE_TOO_SMALL = ("larger than the available kv cache", "no available memory for the cache")
"""vLLM: the cache can't hold one sequence of maxModelLen, or one block."""

LIBRARY_ERRORS = (RuntimeError, ValueError, OSError, MemoryError, KeyError, TypeError)
"""What loading or running a model raises in torch, transformers, safetensors and pydantic."""


@contextmanager
def loading(folder: Path, *, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raises the tree's error for whatever a library raises while it loads this model.

    Args:
        folder: Named in the error.
        also: The library's own error types.
    """
    kinds: tuple[type[Exception], ...] = LIBRARY_ERRORS + also
    try:
        yield
    except DistilleryError:
        raise
    except kinds as error:
        shortage = _find_shortage(error)
        if shortage is not None:
            raise shortage from error
        raise SpecError(
            word(
                str(folder),
                f"the engine can't load this model, got {_first_line(error)}; "
                "see the step's log for the whole text",
            ),
            reason="ModelUnreadable",
        ) from error


@contextmanager
def running(*, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raises the tree's error for whatever a library raises while the engine steps."""
    kinds: tuple[type[Exception], ...] = LIBRARY_ERRORS + also
    try:
        yield
    except kinds as error:
        shortage = _find_shortage(error)
        if shortage is not None:
            raise shortage from error
        raise ExternalError(
            f"engine: it died while answering, got {_first_line(error)}; "
            "see the step's log for the whole text",
            reason="EngineFailed",
        ) from error


def _find_shortage(error: BaseException) -> ResourceError | None:
    """The memory shortage that this error, or one it came from, speaks of."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        if any(words in text for words in _CACHE_TOO_SMALL):
            return ResourceError(
                "engine.kvCacheGib: the cache can't hold one sequence of maxModelLen, "
                f"got {_first_line(cause)}; raise it or lower maxModelLen",
                reason="EngineOutOfMemory",
            )
        if type(cause).__name__ in _OUT_OF_MEMORY_TYPES or any(
            words in text for words in _OUT_OF_MEMORY_WORDS
        ):
            return ResourceError(
                f"engine: out of memory, got {_first_line(cause)}; lower kvCacheGib, maxModelLen "
                "or batchSize, or use a larger machine",
                reason="EngineOutOfMemory",
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _first_line(error: BaseException) -> str:
    """The error's type and the start of its text, so short that every message here fits."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__} {lines[0]}".strip()[:96]
