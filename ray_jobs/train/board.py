"""How far the workers are, kept by a small Ray actor: workers post, the driver's thread reads.

Ray Train's own reports end in its controller's process, not in the driver that prints progress.
"""

import threading
from dataclasses import dataclass
from typing import Any

from ray_jobs.progress import Reporter

POLL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Posting:
    """``done`` optimizer steps of all trials of this attempt; ``tokens`` of the trial at work,
    which ``label`` names."""

    label: str
    done: int
    tokens: int


class Board:
    """Holds the latest posting."""

    def __init__(self) -> None:
        self._latest: Posting | None = None

    def post(self, posting: Posting) -> None:
        """Replaces the latest posting."""
        self._latest = posting

    def read(self) -> Posting | None:
        """The latest posting; None before the first."""
        return self._latest


class BoardReader:
    """Passes postings on to the reporter from a thread of its own, while the context is open."""

    def __init__(self, board: Any, reporter: Reporter, *, total: int) -> None:
        self._board = board
        self._reporter = reporter
        self._total = total
        self._seen: Posting | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="train-board", daemon=True)

    def __enter__(self) -> "BoardReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        import ray
        from ray.exceptions import RayError

        while True:
            last = self._stop.wait(POLL_S)
            try:
                posting: Posting | None = ray.get(self._board.read.remote())
            # The board's node is gone; so is the training, which says so itself.
            except RayError:
                return
            if posting is not None:
                self.show(posting)
            if last:
                return

    def show(self, posting: Posting) -> None:
        """Reports what is new in ``posting``."""
        seen = self._seen
        if posting == seen:
            return
        work = 0
        if seen is None or seen.label != posting.label:
            self._reporter.begin(posting.label, total=self._total, unit="steps", done=posting.done)
        else:
            work = posting.tokens - seen.tokens
        self._reporter.update(posting.done, work=work)
        self._seen = posting
