"""Library errors into the tree, in a worker and in the driver that hears of a worker's end."""

from collections.abc import Iterator
from contextlib import contextmanager

from distillery.errors import (
    MAX_MESSAGE_CHARS,
    DistilleryError,
    ExternalError,
    ResourceError,
)

OUT_OF_MEMORY = "TrainerOutOfMemory"
_SHORTAGE_TYPES = ("OutOfMemoryError", "MemoryError")
_SHORTAGE_WORDS = ("not enough memory", "can't allocate memory", "out of memory", "oom killer")


@contextmanager
def leaving_worker() -> Iterator[None]:
    """Raises the tree's error for a shortage of memory, and everything else as it is."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        raise out_of_memory(error) from error


def choose_error(causes: list[BaseException]) -> DistilleryError:
    """What to raise in the driver for the errors that Ray Train collected from the workers."""
    for cause in causes:
        if isinstance(cause, DistilleryError):
            return cause
    for cause in causes:
        if is_shortage(cause):
            return out_of_memory(cause)
    first = _first_line(causes[0]) if causes else "no cause"
    return ExternalError(
        f"training workers: they died, got {first}; see the step's log, the next attempt goes on "
        "from the last checkpoint",
        reason="TrainerFailed",
    )


def is_shortage(error: BaseException) -> bool:
    """Whether this error, or one it came from, is about memory."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        if type(cause).__name__ in _SHORTAGE_TYPES or any(w in text for w in _SHORTAGE_WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def out_of_memory(error: BaseException) -> ResourceError:
    """The tree's error for a trainer that needs more memory than there is."""
    return ResourceError(
        f"training: out of memory, got {_first_line(error)}; lower microBatchSize or maxLength, "
        "set gradientCheckpointing, or use larger workers",
        reason=OUT_OF_MEMORY,
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__} {lines[0]}".strip()[: MAX_MESSAGE_CHARS - 160]
