"""An engine made and asked once in a process of its own: vLLM keeps state for the whole process, so
a second engine beside the session's would spoil both."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ray_jobs.engines.base import Completion, EngineSettings, Request
from ray_jobs.engines.making import make_engine


def answer_elsewhere(
    settings: EngineSettings,
    folder: Path,
    requests: Sequence[Request] = (),
    *,
    stop_token_ids: Sequence[int] = (),
) -> list[Completion]:
    """The completions in the order they ended; errors arrive as they were raised."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_answer, settings, folder, requests, stop_token_ids).result()


def _answer(
    settings: EngineSettings,
    folder: Path,
    requests: Sequence[Request],
    stop_token_ids: Sequence[int],
) -> list[Completion]:
    engine = make_engine(settings, folder, stop_token_ids=stop_token_ids)
    for request in requests:
        engine.add(request)
    completions: list[Completion] = []
    while engine.num_unfinished():
        completions += engine.step()
    engine.close()
    return completions
