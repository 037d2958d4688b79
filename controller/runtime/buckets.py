"""Token buckets: at most so many of something in a second, with a burst saved up while idle.

Used by the work queue for retries, by the recorder for events, and by whoever limits launches or
writes. Nothing here waits.
"""

import threading
from collections.abc import Callable

_ROUNDING = 1e-9
"""Sums of fractions of a token may fall this short of a whole one."""


class TokenBucket:
    """Holds up to ``burst`` tokens, full at first; ``rate_per_s`` come in a second. Thread-safe.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, rate_per_s: float, burst: int, clock: Callable[[], float]) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise ValueError(
                f"token bucket: must have a rate above 0 and a burst of at least 1, got "
                f"{rate_per_s:g} and {burst}; give both"
            )
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()
        self._lock = threading.Lock()

    def try_take(self) -> bool:
        """Takes a token if there is one; says whether it did."""
        with self._lock:
            self._fill()
            if self._tokens < 1 - _ROUNDING:
                return False
            self._tokens -= 1
            return True

    def reserve(self) -> float:
        """Takes a token in any case, on credit where there is none.

        Returns: Seconds until that token is there; 0 where it was.
        """
        with self._lock:
            self._fill()
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate_per_s)

    def _fill(self) -> None:
        now = self._clock()
        gained = (now - self._filled_at) * self._rate_per_s
        self._tokens = min(float(self._burst), self._tokens + gained)
        self._filled_at = now
