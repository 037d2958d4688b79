"""Which answers are still missing; pure state, no Ray, no clock.

Asks come in and end as ``AnswerRow``: served from the store, answered by an engine, or failed. A
dialogue's next turn is asked when the one before is answered, on the teacher's own history.
"""

from collections.abc import Callable, Iterable, Sequence

from ray_jobs.answers.index import AnswerIndex
from ray_jobs.answers.reuse import StoredAnswer, judge
from ray_jobs.engines.base import FinishReason
from ray_jobs.generate.work import Ask, KeyedAsk, WorkItem
from ray_jobs.records import AnswerRow, RowStatus

EARLIER_TURN = "earlier turn has no whole answer"
"""The reason of turns that were never asked."""


class Desk:
    """Turns asks into answer rows.

    Args:
        index: What the store holds; grows as engines answer.
        write: ``Scribe.write``.
        max_tokens: The longest answer taken.
        window: The engine's context window in tokens, where known.
    """

    def __init__(
        self,
        *,
        index: AnswerIndex,
        write: Callable[[Sequence[Ask]], list[KeyedAsk]],
        max_tokens: int,
        window: int | None,
    ) -> None:
        self._index = index
        self._write = write
        self._max_tokens = max_tokens
        self._window = window
        self._waiting: dict[str, list[KeyedAsk]] = {}
        self._ended: list[tuple[Ask, list[AnswerRow]]] = []
        self._dialogues: dict[tuple[str, str, str, int], list[AnswerRow]] = {}
        self.num_waiting = 0

    def open(self, asks: Sequence[Ask]) -> list[WorkItem]:
        """Takes asks in. Returns the items that must be generated, each key once."""
        items: list[WorkItem] = []
        while asks:
            following: list[Ask] = []
            for keyed in self._write(asks):
                key = keyed.item.key
                if key in self._waiting:
                    self._wait(keyed)
                    continue
                stored = self._index.get(key)
                status = stored and self._judge(stored)
                if stored is not None and status:
                    following += self._settle(keyed, stored, status, is_reused=True)
                else:
                    items.append(keyed.item)
                    self._wait(keyed)
            asks = following
        return items

    def answer(self, segment: str, answers: Iterable[StoredAnswer]) -> list[WorkItem]:
        """Takes in answers that are durable in ``segment``. Returns the items that follow."""
        answers = list(answers)
        self._index.add(segment, answers)
        following: list[Ask] = []
        for fresh in answers:
            waiting = self._take(fresh.key)
            if not waiting:
                continue  # a second answer to the same key: the store has both, one wins
            winner = self._index.get(fresh.key)
            status = winner and self._judge(winner)
            if winner is None or not status:
                winner, status = fresh, self._judge(fresh) or RowStatus.TRUNCATED
            for number, keyed in enumerate(waiting):
                # The first ask of a key pays for it; further ones are served by it.
                following += self._settle(keyed, winner, status, is_reused=number > 0)
        return self.open(following) if following else []

    def fail(self, key: str, reason: str) -> None:
        """Ends all asks of ``key`` without an answer."""
        for keyed in self._take(key):
            row = _row(keyed, status=RowStatus.ERROR, reason=reason)
            self._end_dialogue(keyed, row)

    def take_ended(self) -> list[tuple[Ask, list[AnswerRow]]]:
        """The (row, variant, sample)s that ended since the last call, with a row for each turn."""
        ended, self._ended = self._ended, []
        return ended

    def _judge(self, answer: StoredAnswer) -> RowStatus | None:
        return judge(answer, max_tokens=self._max_tokens, window=self._window)

    def _wait(self, keyed: KeyedAsk) -> None:
        self._waiting.setdefault(keyed.item.key, []).append(keyed)
        self.num_waiting += 1

    def _take(self, key: str) -> list[KeyedAsk]:
        waiting = self._waiting.pop(key, [])
        self.num_waiting -= len(waiting)
        return waiting

    def _settle(
        self, keyed: KeyedAsk, answer: StoredAnswer, status: RowStatus, *, is_reused: bool
    ) -> list[Ask]:
        """Writes the row; returns the next turn's ask, if there is one."""
        row = _row(
            keyed,
            status=status,
            answer=answer,
            num_tokens=min(answer.num_tokens, self._max_tokens),
            is_reused=is_reused,
        )
        following = keyed.ask.after(answer.text) if status == RowStatus.OK else None
        if following is None:
            self._end_dialogue(keyed, row)
            return []
        self._dialogues.setdefault(_name(keyed.ask), []).append(row)
        return [following]

    def _end_dialogue(self, keyed: KeyedAsk, row: AnswerRow) -> None:
        """Ends the ask with ``row``; turns that can't be asked any more get a row too."""
        ask = keyed.ask
        rows = [*self._dialogues.pop(_name(ask), []), row]
        rows += [
            AnswerRow(
                row_id=ask.row.row_id,
                split=ask.row.split,
                variant=ask.variant.value,
                sample=ask.sample,
                turn=turn,
                num_turns=ask.num_turns,
                key="",
                status=RowStatus.ERROR,
                reason=EARLIER_TURN,
            )
            for turn in range(ask.turn + 1, ask.num_turns)
        ]
        self._ended.append((ask, rows))


def _name(ask: Ask) -> tuple[str, str, str, int]:
    return ask.row.split.value, ask.row.row_id, ask.variant.value, ask.sample


def _row(
    keyed: KeyedAsk,
    *,
    status: RowStatus,
    reason: str = "",
    answer: StoredAnswer | None = None,
    num_tokens: int = 0,
    is_reused: bool = False,
) -> AnswerRow:
    ask = keyed.ask
    finish = "" if answer is None else answer.finish_reason.value
    if answer is not None and status == RowStatus.TRUNCATED and finish == FinishReason.STOP:
        # It ended by itself, but later than this job allows: for this job it was cut.
        finish = FinishReason.LENGTH.value
    return AnswerRow(
        row_id=ask.row.row_id,
        split=ask.row.split,
        variant=ask.variant.value,
        sample=ask.sample,
        turn=ask.turn,
        num_turns=ask.num_turns,
        key=keyed.item.key,
        status=status,
        reason=reason,
        text="" if answer is None else answer.text,
        finish_reason=finish,
        num_prompt_tokens=len(keyed.item.prompt_ids),
        num_tokens=num_tokens,
        reused=is_reused,
    )
