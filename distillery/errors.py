"""The error tree: whose fault a failure is, and so what is done about it.

Every layer raises these and nothing else across its border: library exceptions stay inside
the adapter that met them. ``ray_jobs.step`` turns them into a step's outcome; ``controller.plan``
decides from the outcome whether to try again. Wording of messages: one line, lower case,
``<field path or place>: <what is wrong>, got <value>; <what to do>``, no secret, no document text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_MESSAGE_CHARS = 256


def word(place: str, problem: str) -> str:
    """``<place>: <problem>`` within the length of a message; a long place loses its middle."""
    spare = MAX_MESSAGE_CHARS - len(problem) - len(": ")
    if len(place) > spare:
        half = max(0, spare - 3) // 2
        place = f"{place[:half]}...{place[len(place) - half :]}"
    return f"{place}: {problem}"[:MAX_MESSAGE_CHARS]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a specification: ``path`` is dotted from the document's root."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class DistilleryError(Exception):
    """The base of the tree.

    Args:
        message: One line for a person, what is wrong, where, the value and the way out.
        reason: A CamelCase word for programs (a condition's reason), such as ``BucketMissing``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross processes pickled; the default way forgets keyword arguments."""
        return _restore, (type(self), self.message, self.__dict__)


def _restore(kind: type[DistilleryError], message: str, fields: dict[str, Any]) -> DistilleryError:
    error = kind.__new__(kind, message)
    error.__dict__.update(fields)
    return error


class SpecError(DistilleryError):
    """What the user gave can't work: job file, a row of data, a model's folder. Never retried."""

    def __init__(
        self, message: str, *, reason: str = "InvalidSpec", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, reason=reason)
        self.problems = tuple(problems)

    @classmethod
    def from_problems(cls, problems: Sequence[Problem]) -> "SpecError":
        """One error for all problems found at once; its message has a line for each."""
        return cls("\n".join(str(problem) for problem in problems), problems=problems)


class TransientError(DistilleryError):
    """Worth trying again by itself after ``delay_s`` seconds."""

    def __init__(self, message: str, *, reason: str, delay_s: float = 10.0) -> None:
        super().__init__(message, reason=reason)
        self.delay_s = delay_s


class ExternalError(DistilleryError):
    """A system outside refused; ``status_code`` is its own number, if it gave one."""

    def __init__(self, message: str, *, reason: str, status_code: int | None = None) -> None:
        super().__init__(message, reason=reason)
        self.status_code = status_code


class ResourceError(DistilleryError):
    """The machine ran out of something (memory, disk): the same attempt would fail again."""


class InvariantError(DistilleryError):
    """Our bug: something that can't be true is."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="Bug")
