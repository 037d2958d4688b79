"""The line of jobs that wait to start, and each one's place in it, without looking at all of them.

Each namespace has a sorted line of its own; a place is counted by bisection in each, so thousands
may wait. How many may start is ``limits.py``'s, whose lock guards this.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Mapping, Sequence
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
        """The place of a job that has joined; 1 for the first.

        Among equal priorities namespaces take turns, and the one with less at work begins: each job
        stands at the level that its namespace will have reached when those before it in its own
        line have started. Jobs at a level beyond ``full`` don't stand in other namespaces' way.

        Args:
            active: Namespace to its active steps.
            full: As many of a namespace's as may be.
        """
        rank, own = standing.rank, standing.namespace
        before = bisect_left(self._lines.get(own, []), rank)
        level = active.get(own, 0) + before
        ahead = before
        for namespace, line in self._lines.items():
            if namespace != own:
                busy = active.get(namespace, 0)
                ahead += min(_count_ahead(line, rank, level - busy), max(0, full - busy))
        return 1 + ahead


def _count_ahead(line: Sequence[_Rank], rank: _Rank, depth: int) -> int:
    """How many of another namespace's line go before ``rank``: those of higher priority, then those
    of its own that stand less deep than ``depth``, and the one just there if it is older."""
    higher = bisect_left(line, (rank[0],))
    equal = bisect_left(line, (rank[0] + 1,))
    if not higher <= depth < equal:
        return max(higher, min(depth, equal))
    return depth + (line[depth] < rank)
