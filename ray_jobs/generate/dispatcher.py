"""Who does what: a queue, leases, and what an engine's death means for its rows; pure.

Rows are leased to engines and forgotten when acknowledged, which engines do after the answers are
durable. Nothing here is saved: a new dispatcher is filled from the store. Time is given in.

After an engine died, the rows it held are suspects. Suspects run apart from all others: first in
small cohorts, so that a machine lost for another reason costs little; the rows of a cohort that
died again run alone. A row is in quarantine when an engine died twice with it, last with it alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ray_jobs.generate.work import WorkItem

COHORT_SIZE = 16
"""A compromise: 64 suspects are cleared in 4 rounds, not 64, and a poison row costs 3 deaths."""

MAX_DEATHS = 2


@dataclass(frozen=True, kw_only=True)
class Lease:
    """What an engine gets when it asks: items, and whether there will ever be more. ``is_stopped``:
    give up what is unfinished, too."""

    items: Sequence[WorkItem] = ()
    is_over: bool = False
    is_stopped: bool = False


@dataclass(kw_only=True)
class _Held:
    items: dict[str, WorkItem] = field(default_factory=dict)
    is_apart: bool = False
    tokens: int = -1
    moved_at: float = 0.0


class Dispatcher:
    """The state machine.

    Args:
        lease_s: How long an engine with leased rows may stand still (no token, no answer).
    """

    def __init__(self, *, lease_s: float) -> None:
        self._lease_s = lease_s
        self._fresh: dict[str, WorkItem] = {}
        self._suspects: dict[str, WorkItem] = {}
        self._deaths: dict[str, int] = {}
        self._held: dict[str, _Held] = {}
        self._lost: set[str] = set()
        self._is_closed = False
        self._is_stopped = False

    @property
    def num_open(self) -> int:
        """Items not acknowledged and not in quarantine."""
        num_held = sum(len(held.items) for held in self._held.values())
        return len(self._fresh) + len(self._suspects) + num_held

    def add(self, items: Iterable[WorkItem]) -> None:
        """Queues items."""
        for item in items:
            self._fresh[item.key] = item

    def close(self) -> None:
        """Says that no more items will come."""
        self._is_closed = True

    def stop(self) -> None:
        """Ends everything: nothing is leased any more."""
        self._is_stopped = True

    def lease(self, engine: str, *, limit: int, tokens: int, now: float) -> Lease:
        """Gives the engine up to ``limit`` items; also its sign of life.

        Args:
            tokens: How many tokens it has generated so far.
            now: Monotonic seconds.
        """
        if engine in self._lost:  # its last call came after its death was noticed
            return Lease(is_over=True, is_stopped=True)
        held = self._held.setdefault(engine, _Held())
        if tokens != held.tokens or not held.items:
            held.tokens, held.moved_at = tokens, now
        if self._is_stopped:
            return Lease(is_over=True, is_stopped=True)
        items = self._choose(held, limit)
        held.items.update((item.key, item) for item in items)
        return Lease(items=items, is_over=self._is_closed and self.num_open == 0)

    def acknowledge(self, engine: str, keys: Iterable[str], *, now: float) -> None:
        """Forgets items whose answers are durable, whoever holds them by now."""
        places = [self._fresh, self._suspects, *(held.items for held in self._held.values())]
        for key in keys:
            for place in places:
                place.pop(key, None)
            self._deaths.pop(key, None)
        if engine in self._held:
            self._held[engine].moved_at = now

    def lose(self, engine: str) -> list[str]:
        """Takes back what a dead engine held. Returns the keys that go into quarantine."""
        self._lost.add(engine)
        held = self._held.pop(engine, _Held())
        was_alone = len(held.items) == 1
        quarantined: list[str] = []
        for key, item in held.items.items():
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] >= MAX_DEATHS and was_alone:
                quarantined.append(key)
                del self._deaths[key]
            else:
                self._suspects[key] = item
        return quarantined

    def find_stalled(self, *, now: float) -> list[str]:
        """Engines whose lease ran out: they hold items and stand still."""
        return [
            engine
            for engine, held in self._held.items()
            if held.items and now - held.moved_at > self._lease_s
        ]

    def _choose(self, held: _Held, limit: int) -> list[WorkItem]:
        if held.items and held.is_apart:
            return []
        if self._fresh or held.items:
            held.is_apart = False
            return _take(self._fresh, limit)
        held.is_apart = True
        alone = [key for key in self._suspects if self._deaths[key] >= MAX_DEATHS]
        # The rows of a cohort that died come before the next cohort: each of them ends in an
        # answer or in quarantine, so deaths without either stay few.
        keys = alone[: min(limit, 1)] or list(self._suspects)[: min(limit, COHORT_SIZE)]
        return [self._suspects.pop(key) for key in keys]


def _take(queue: dict[str, WorkItem], limit: int) -> list[WorkItem]:
    keys = [key for _, key in zip(range(limit), queue, strict=False)]
    return [queue.pop(key) for key in keys]
