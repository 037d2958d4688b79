"""vLLM's own counters, gathered as it steps and read by ``VllmEngine.stats``.

Imports vLLM: only ``vllm_engine`` loads it, when an engine is made.
"""

from collections.abc import Callable
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase

from ray_jobs.engines.base import EngineStats


class Counters:
    """Sums and latest values; a plain object, so that reading it never touches the engine."""

    def __init__(self) -> None:
        self._sums = {"num_tokens": 0, "num_prompt_tokens": 0, "num_preempted": 0}
        self._latest: dict[str, Any] = {}

    def read(self) -> EngineStats:
        return EngineStats(**self._sums, **self._latest)

    def record(self, scheduler: Any, iteration: Any) -> None:
        if scheduler is not None:
            self._latest = {
                "num_running": scheduler.num_running_reqs,
                "num_waiting": scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs,
                "kv_usage": scheduler.kv_cache_usage,
            }
        if iteration is not None:
            self._sums["num_tokens"] += iteration.num_generation_tokens
            self._sums["num_prompt_tokens"] += iteration.num_prompt_tokens
            self._sums["num_preempted"] += iteration.num_preempted_reqs


def make_counters() -> tuple[Counters, Callable[..., StatLoggerBase]]:
    """Counters, and the factory that makes vLLM feed them."""
    counters = Counters()

    class CountingStatLogger(StatLoggerBase):  # type: ignore[misc]
        def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
            del vllm_config, engine_index

        def record(
            self,
            scheduler_stats: Any,
            iteration_stats: Any,
            mm_cache_stats: Any = None,
            engine_idx: int = 0,
        ) -> None:
            del mm_cache_stats, engine_idx
            counters.record(scheduler_stats, iteration_stats)

        def log_engine_initialized(self) -> None:
            """Nothing to say: the engine's settings are in ``EngineInfo``."""

    return counters, CountingStatLogger
