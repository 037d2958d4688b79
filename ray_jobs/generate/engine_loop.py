"""Keeps one engine full until the dispatcher says that it is over; knows no Ray.

Requests are added between any two steps, so there are no batch borders; work comes and answers go
through ``couriers.py``. Runs in ``engine_actor.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ray_jobs.answers.keys import row_seed
from ray_jobs.answers.ledger import TokenLedger
from ray_jobs.answers.reuse import StoredAnswer
from ray_jobs.answers.store import SegmentWriter
from ray_jobs.engines.base import Completion, Engine, FinishReason, Request, Sampling
from ray_jobs.generate.couriers import Feeder, Flusher, Port
from ray_jobs.generate.work import WorkItem

AHEAD_SHARE = 0.5
"""Leased beyond what the engine runs at once, as a share of that: covers a lease's round trip.
Less is better: after a death every leased row is a suspect."""

WAIT_S = 0.05
"""How long an engine without work waits before it looks at the couriers again."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """``max_in_flight`` is how many requests the engine runs at once."""

    sampling: Sampling
    max_in_flight: int
    flush_s: float
    flush_rows: int


class EngineLoop:
    """Drives ``engine``; made once, run once."""

    def __init__(
        self,
        engine: Engine,
        *,
        port: Port,
        writer: SegmentWriter,
        ledger: TokenLedger,
        settings: LoopSettings,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._sampling = settings.sampling
        self._max_model_len = engine.info.max_model_len
        self._unfinished: set[str] = set()
        self._feeder = Feeder(
            port,
            capacity=settings.max_in_flight + max(1, int(settings.max_in_flight * AHEAD_SHARE)),
            num_busy=self._num_unfinished,
            tokens=self._tokens,
        )
        self._flusher = Flusher(
            port, write=writer.write, flush_s=settings.flush_s, flush_rows=settings.flush_rows
        )

    def run(self) -> int:
        """Answers until it is over, or stopped. Returns the tokens generated.

        Raises:
            DistilleryError: The engine's, or the storage's. What had ended before is durable,
                unless it is the storage that failed.
        """
        self._feeder.start()
        self._flusher.start()
        try:
            while self._advance():
                self._raise_courier_error()
        finally:
            self._feeder.stop()
            self._flusher.finish()
            self._ledger.record(self._tokens(), is_last=True)
        self._raise_courier_error()
        return self._tokens()

    def _advance(self) -> bool:
        """One turn of the loop: take, step, hand over. False at the end."""
        lease = self._feeder.lease
        for item in self._feeder.take(wait_s=0 if self._unfinished else WAIT_S):
            self._add(item)
        if lease.is_stopped or (lease.is_over and not self._unfinished):
            self._engine.abort(list(self._unfinished))
            return False
        if self._unfinished:
            self._hand_over(self._engine.step())
            self._ledger.record(self._tokens())
        return True

    def _add(self, item: WorkItem) -> None:
        if item.key in self._unfinished:
            return  # leased to this engine again before it knew that the first lease was lost
        sampling = self._sampling
        if sampling.temperature > 0:
            sampling = replace(sampling, seed=row_seed(item.key, seed=sampling.seed or 0))
        self._unfinished.add(item.key)
        self._engine.add(
            Request(
                request_id=item.key,
                prompt_ids=item.prompt_ids,
                sampling=sampling,
                constraint=item.constraint,
            )
        )

    def _hand_over(self, completions: Sequence[Completion]) -> None:
        if not completions:
            return
        self._unfinished.difference_update(done.request_id for done in completions)
        self._flusher.put(
            [
                self._stored(done)
                for done in completions
                if done.finish_reason != FinishReason.ERROR
            ],
            [
                (done.request_id, done.error)
                for done in completions
                if done.finish_reason == FinishReason.ERROR
            ],
            is_idle=not self._unfinished,
        )

    def _stored(self, done: Completion) -> StoredAnswer:
        return StoredAnswer(
            key=done.request_id,
            text=done.text,
            finish_reason=done.finish_reason,
            num_prompt_tokens=done.num_prompt_tokens,
            num_tokens=done.num_tokens,
            max_model_len=self._max_model_len,
        )

    def _raise_courier_error(self) -> None:
        error = self._feeder.error or self._flusher.error
        if error is not None:
            raise error

    def _num_unfinished(self) -> int:
        return len(self._unfinished)

    def _tokens(self) -> int:
        return self._engine.stats().num_tokens
