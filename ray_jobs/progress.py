"""A running step's voice: at most one progress record a second, and its outcome at the end.

The records' form is ``distillery.progress``; the driver's log is the channel, and beside it a
``Sink`` where there is one (``progress_map.py``). Safe to call from several threads.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from distillery.progress import Outcome, Phase, Progress, outcome_line, progress_line

MIN_INTERVAL_S = 1.0
RATE_WINDOW_S = 20.0


class Sink(Protocol):
    """Where records go besides the log."""

    def show(self, progress: Progress) -> None:
        """Takes the newest record; returns at once."""
        ...

    def close(self, progress: Progress, outcome: Outcome) -> None:
        """Takes the last records; returns when they are kept, or can't be."""
        ...


class Reporter:
    """Prints progress records.

    Args:
        out: Where records go; the driver's standard output.
        clock: Monotonic seconds.
        sink: Gets each record that is printed.
    """

    def __init__(
        self,
        *,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        sink: Sink | None = None,
    ) -> None:
        self._sink = sink
        self._out = out if out is not None else sys.stdout
        self._clock = clock
        self._lock = threading.Lock()
        self._last = Progress()
        self._printed_at: float | None = None
        self._part_started_at = clock()
        self._part_started_done = 0
        self._marks: list[tuple[float, int]] = []

    def begin(
        self, label: str, *, total: int, unit: str, done: int = 0, phase: Phase = Phase.RUNNING
    ) -> None:
        """Starts a part of the step: what follows counts ``unit`` up to ``total``. ``done`` of
        them were there before and don't count towards the speed."""
        with self._lock:
            self._part_started_at = self._clock()
            self._part_started_done = done
            self._marks = [(self._part_started_at, self._last.work)]
            self._last = self._last.model_copy(
                update={
                    "label": label,
                    "total": total,
                    "unit": unit,
                    "done": done,
                    "phase": phase,
                    "rejected": 0,
                    "tokens_per_second": 0.0,
                    "remaining_seconds": None,
                }
            )
            self._print()

    def update(self, done: int, *, work: int = 0, rejected: int | None = None) -> None:
        """Says that ``done`` are finished; ``work`` is added to the step's monotonic counter
        (tokens where the unit is rows, otherwise what moves)."""
        with self._lock:
            now = self._clock()
            total_work = self._last.work + work
            self._marks = [mark for mark in self._marks if now - mark[0] <= RATE_WINDOW_S]
            self._marks.append((now, total_work))
            span_s = now - self._marks[0][0]
            rate = (total_work - self._marks[0][1]) / span_s if span_s > 0 else 0.0
            self._last = self._last.model_copy(
                update={
                    "done": done,
                    "work": total_work,
                    "rejected": self._last.rejected if rejected is None else rejected,
                    "tokens_per_second": round(rate, 1),
                    "remaining_seconds": self._remaining_s(now, done),
                }
            )
            if self._printed_at is None or now - self._printed_at >= MIN_INTERVAL_S:
                self._print()

    def phase(self, phase: Phase) -> None:
        """Says what kind of waiting this is now."""
        with self._lock:
            self._last = self._last.model_copy(update={"phase": phase})
            self._print()

    def finish(self, outcome: Outcome) -> None:
        """Prints the last progress as it stands, then the outcome; waits until the sink has it."""
        with self._lock:
            self._print()
            self._write(outcome_line(outcome))
            last = self._last
        if self._sink is not None:
            self._sink.close(last, outcome)

    def _remaining_s(self, now: float, done: int) -> float | None:
        made = done - self._part_started_done
        if made <= 0 or self._last.total <= 0:
            return None
        return round((now - self._part_started_at) / made * (self._last.total - done), 1)

    def _print(self) -> None:
        self._last = self._last.model_copy(update={"beat": self._last.beat + 1})
        self._printed_at = self._clock()
        self._write(progress_line(self._last))
        if self._sink is not None:
            self._sink.show(self._last)

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()
