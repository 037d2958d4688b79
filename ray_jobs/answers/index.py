"""The winners of all segments read so far, by key; in memory, no storage."""

from collections.abc import Iterable

from ray_jobs.answers.reuse import Held, StoredAnswer, winner


class AnswerIndex:
    """Key to winning answer. Adding a segment twice changes nothing."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, segment: str, answers: Iterable[StoredAnswer]) -> None:
        """Takes in the answers of one segment."""
        for answer in answers:
            new = Held(segment=segment, answer=answer)
            old = self._held.get(answer.key)
            self._held[answer.key] = new if old is None else winner(old, new)

    def get(self, key: str) -> StoredAnswer | None:
        """The winning answer to ``key``, if there is any."""
        held = self._held.get(key)
        return None if held is None else held.answer
