"""A real engine with a planted fault: it kills its own process at a prompt that says so.

Passes the engines' contract tests, for it is the real engine but for that prompt. Stage generate
gets it by ``GenerateOptions.engine_factory``.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from ray_jobs.engines.base import (
    Completion,
    Engine,
    EngineInfo,
    EngineSettings,
    EngineStats,
    Request,
)
from ray_jobs.engines.making import make_engine
from ray_jobs.rendering import Renderer

POISON = "poison"


class FragileEngine:
    """See ``ray_jobs.engines.base.Engine``."""

    def __init__(self, engine: Engine, renderer: Renderer) -> None:
        self._engine = engine
        self._renderer = renderer
        self._is_poisoned = False

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def add(self, request: Request) -> None:
        if POISON in self._renderer.decode(list(request.prompt_ids)):
            self._is_poisoned = True
        self._engine.add(request)

    def step(self) -> list[Completion]:
        if self._is_poisoned:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._engine.step()

    def num_unfinished(self) -> int:
        return self._engine.num_unfinished()

    def abort(self, request_ids: Sequence[str]) -> None:
        self._engine.abort(request_ids)

    def stats(self) -> EngineStats:
        return self._engine.stats()

    def close(self) -> None:
        self._engine.close()


def make_fragile_engine(
    settings: EngineSettings, model_folder: str | Path, *, stop_token_ids: Sequence[int] = ()
) -> Engine:
    """As ``make_engine``."""
    engine = make_engine(settings, model_folder, stop_token_ids=stop_token_ids)
    return FragileEngine(engine, Renderer.from_folder(model_folder))
