"""What the stage runs with that no job can set: intervals, and where engines come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ray_jobs.engines.base import Engine, EngineSettings
from ray_jobs.engines.making import make_engine


class EngineFactory(Protocol):
    """``ray_jobs.engines.making.make_engine``, or what passes the same contract tests. It is sent
    to the engines' processes by name."""

    def __call__(
        self, settings: EngineSettings, model_folder: str | Path, *, stop_token_ids: Sequence[int]
    ) -> Engine: ...


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Intervals in seconds.

    ``flush_s`` and ``flush_rows`` bound what a kill can lose beside what is in flight. ``lease_s``
    is how long an engine that holds rows may stand still before it is killed.
    """

    flush_s: float = 0.5
    flush_rows: int = 256
    ledger_s: float = 1.0
    lease_s: float = 300.0
    poll_s: float = 0.25
    engine_factory: EngineFactory = make_engine
