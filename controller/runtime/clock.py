"""Time as the runtime's threads see it: seconds that never go back, and waiting by them.

Passed in everywhere, so that tests turn the clock by hand (``tests/doubles/clock.py``). Dates for
people and for the API server are ``timestamps.py``'s; nothing is decided by them.
"""

import sys
import time
from threading import Condition
from typing import Protocol


class Clock(Protocol):
    """What queue, workers, elector and recorder measure and wait by."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def wait(self, condition: Condition, timeout: float | None) -> bool:
        """Waits on the held condition, for ``timeout`` seconds at most; None: for ever.

        Returns: False where the time is over. It may return early: wait in a loop.
        """
        ...


class SystemClock:
    """The machine's clock. It goes on while the process is stopped or the machine is suspended, so
    a lease held before is over at once after."""

    def now(self) -> float:
        """As ``Clock.now``."""
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def wait(self, condition: Condition, timeout: float | None) -> bool:
        """As ``Clock.wait``."""
        return condition.wait(timeout)
