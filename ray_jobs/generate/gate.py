"""Stops generation where the success ratio is hopeless, before the money is spent; pure.

Looks at the answers in the order they were asked in, not in the order they ended in: refusals and
short answers end first. curate judges the ratio finally, on all rows.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from ray_jobs.generate.work import NUM_SMOKE_ROWS

CHECK_EVERY = 0.05
"""Share of a split and variant between two looks."""

CONFIDENCE = 0.99
"""That the ratio is too low, all looks taken together."""


@dataclass(frozen=True, kw_only=True)
class Hopeless:
    """What the gate saw when it gave up. ``reasons`` counts the statuses of rejected answers."""

    num_ok: int
    num_seen: int
    reasons: dict[str, int]


@dataclass(kw_only=True)
class Gate:
    """One split's and variant's gate. ``total`` is how many answers there will be."""

    total: int
    min_success_ratio: float
    _early: dict[int, str] = field(default_factory=dict)
    _num_seen: int = 0
    _num_ok: int = 0
    _reasons: Counter[str] = field(default_factory=Counter)

    def record(self, place: int, status: str) -> Hopeless | None:
        """Takes in how the answer asked for at ``place`` (0 to total - 1) ended: ``ok`` or why it
        was rejected. Returns what was seen if that leaves no hope."""
        self._early[place] = status
        while self._num_seen in self._early:
            status = self._early.pop(self._num_seen)
            self._num_seen += 1
            if status == "ok":
                self._num_ok += 1
            else:
                self._reasons[status] += 1
            if self._is_look() and self._is_hopeless():
                return Hopeless(
                    num_ok=self._num_ok, num_seen=self._num_seen, reasons=dict(self._reasons)
                )
        return None

    def _is_look(self) -> bool:
        step = max(1, math.ceil(self.total * CHECK_EVERY))
        return self._num_seen == min(NUM_SMOKE_ROWS, self.total) or (
            self._num_seen > NUM_SMOKE_ROWS and self._num_seen % step == 0
        )

    def _is_hopeless(self) -> bool:
        num_left = self.total - self._num_seen
        if self._num_ok + num_left < self.min_success_ratio * self.total:
            return True
        # As many looks as there can be share the error (Bonferroni).
        num_looks = 1 + math.ceil(1 / CHECK_EVERY)
        risk = binomial_tail(self._num_ok, self._num_seen, self.min_success_ratio)
        return risk < (1 - CONFIDENCE) / num_looks


def binomial_tail(num_ok: int, num_seen: int, ratio: float) -> float:
    """P(X <= num_ok) for X ~ Binomial(num_seen, ratio): sum over k of C(n, k) p^k (1 - p)^(n - k).

    Summed in logarithms, for n may be large.
    """
    if ratio <= 0:
        return 1.0
    if ratio >= 1:
        return 1.0 if num_ok >= num_seen else 0.0
    terms = [
        math.lgamma(num_seen + 1)
        - math.lgamma(k + 1)
        - math.lgamma(num_seen - k + 1)
        + k * math.log(ratio)
        + (num_seen - k) * math.log1p(-ratio)
        for k in range(num_ok + 1)
    ]
    return min(1.0, math.fsum(math.exp(term) for term in terms))
