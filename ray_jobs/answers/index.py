"""The winning answer to each key: of the store as it was, and of what engines have answered since.

The store's answers are ``stored.py``'s, whose texts lie on disk; this run's stay in memory, as the
rows they become do.
"""

from collections.abc import Iterable

from ray_jobs.answers.reuse import Held, StoredAnswer, winner
from ray_jobs.answers.stored import StoredAnswers


class AnswerIndex:
    """Key to winning answer. Adding a segment twice changes nothing.

    Args:
        stored: What lay in the store.
    """

    def __init__(self, stored: StoredAnswers | None = None) -> None:
        self._stored = stored
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        """Keys of the store, and keys answered since: one may be among both."""
        return len(self._held) + (len(self._stored) if self._stored is not None else 0)

    def add(self, segment: str, answers: Iterable[StoredAnswer]) -> None:
        """Takes in the answers of one segment."""
        for answer in answers:
            new = Held(segment=segment, answer=answer)
            old = self._find(answer.key)
            self._held[answer.key] = new if old is None else winner(old, new)

    def get(self, key: str) -> StoredAnswer | None:
        """The winning answer to ``key``, if there is any."""
        held = self._find(key)
        return None if held is None else held.answer

    def _find(self, key: str) -> Held | None:
        held = self._held.get(key)
        if held is None and self._stored is not None:
            return self._stored.get(key)
        return held
