"""The line of jobs that wait to start, and each one's place in it, without looking at all of them.

Each namespace has a sorted line of its own; a place is counted by bisection in each, so thousands
may wait. How many may start is ``limits.py``'s, whose lock guards this.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

_Rank = tuple[int, str, str]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A job that waits. The higher ``priority`` goes first, then the older ``created`` (a timestamp
    that sorts)."""

    key: str
    namespace: str
    created: str
    priority: int = 0

    @property
    def rank(self) -> _Rank:
        """Sorts within a namespace: lower goes first."""
        return -self.priority, self.created, self.key


class WaitingLine:
    """Who waits, by namespace."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, tuple[float, Standing]] = OrderedDict()
        self._lines: dict[str, list[_Rank]] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def join(self, standing: Standing, *, now_s: float) -> None:
        """Takes the job in, or notes that it still waits."""
        _, known = self._asked.get(standing.key, (0.0, None))
        if known is None or known.rank != standing.rank:
            self.leave(standing.key)
            insort(self._lines.setdefault(standing.namespace, []), standing.rank)
        self._asked[standing.key] = (now_s, standing)
        self._asked.move_to_end(standing.key)

    def leave(self, key: str) -> None:
        """Takes the job out, if it is in."""
        _, known = self._asked.pop(key, (0.0, None))
        if known is None:
            return
        line = self._lines[known.namespace]
        del line[bisect_left(line, known.rank)]
        if not line:
            del self._lines[known.namespace]

    def drop_silent(self, *, before_s: float) -> None:
        """Takes out who hasn't asked since."""
        while self._asked:
            key, (asked_s, _) = next(iter(self._asked.items()))
            if asked_s >= before_s:
                return
            self.leave(key)

    def place(self, standing: Standing, *, active: Mapping[str, int], full: int) -> int:
        """The job's place; 1 for the first.

        Jobs of namespaces with no room don't stand in anybody's way; among equal priorities the
        namespace with the fewest active steps goes first.

        Args:
            active: Namespace to its active steps.
            full: As many of a namespace's as may be.
        """
        own = active.get(standing.namespace, 0)
        ahead = 0
        for namespace, line in self._lines.items():
            busy = active.get(namespace, 0)
            if busy < full:
                ahead += bisect_left(line, _least_behind(standing, busy - own))
        return 1 + ahead


def _least_behind(standing: Standing, busier: int) -> tuple[int] | _Rank:
    """The least rank in another namespace, ``busier`` by so many steps, that isn't ahead."""
    if busier == 0:
        return standing.rank
    return (-standing.priority,) if busier > 0 else (1 - standing.priority,)
