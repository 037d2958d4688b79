"""What vLLM is made with: its arguments, and which settings the installed one can't have.

Used by ``vllm_engine.py`` alone. Only ``is_cpu`` loads vLLM.
"""

import os
from pathlib import Path
from typing import Any

from distillery.errors import ResourceError, SpecError
from ray_jobs.engines.base import EngineSettings

_GIB = 2**30
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks vLLM reserves room for (``vllm.config.lora.MaxLoRARanks``)."""


def is_cpu() -> bool:
    """Whether the installed vLLM answers on the CPU."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def check_device(settings: EngineSettings, *, on_cpu: bool) -> None:
    """Refuses what the installed vLLM can't do: it is built either for the CPU or for GPUs.

    Raises:
        SpecError: It answers on the other; ResourceError: the KV cache exceeds a CPU's memory.
    """
    if on_cpu and settings.tensor_parallel > 0:
        raise SpecError(
            "engine.tensorParallel: the installed vLLM answers on the CPU, got "
            f"{settings.tensor_parallel} GPUs; use 0, or an image with vLLM for GPUs"
        )
    if not on_cpu and settings.tensor_parallel == 0:
        raise SpecError(
            "engine.tensorParallel: the installed vLLM answers on GPUs, got 0, the CPU; "
            "use 1 or more, or an image with vLLM for CPUs"
        )
    if on_cpu:
        _check_memory(settings)


def engine_arguments(settings: EngineSettings, folder: Path, *, on_cpu: bool) -> dict[str, Any]:
    """vLLM's ``EngineArgs``, as far as they are set at all."""
    arguments: dict[str, Any] = {
        "model": str(folder),
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "enforce_eager": settings.enforce_eager,
        "seed": settings.seed,
    }
    if settings.tensor_parallel > 0:
        arguments["tensor_parallel_size"] = settings.tensor_parallel
    if settings.pipeline_parallel > 1:
        # The workers run on several nodes, in the placement group that this process stands in.
        arguments["pipeline_parallel_size"] = settings.pipeline_parallel
        arguments["distributed_executor_backend"] = "ray"
    elif settings.tensor_parallel > 1:
        # Ray gave this one process all of its GPUs; vLLM's own processes share them.
        arguments["distributed_executor_backend"] = "mp"
    if on_cpu:
        arguments["kv_cache_memory_bytes"] = int(settings.kv_cache_gib * _GIB)
    else:
        arguments["gpu_memory_utilization"] = settings.gpu_memory_utilization
    if settings.max_adapters:
        fitting = [rank for rank in _LORA_RANKS if rank >= settings.max_lora_rank]
        if not fitting:
            raise SpecError(
                f"engine.maxLoraRank: vLLM takes ranks up to {_LORA_RANKS[-1]}, "
                f"got {settings.max_lora_rank}; lower the students' rank or use transformers"
            )
        arguments |= {
            "enable_lora": True,
            "max_loras": settings.max_adapters,
            "max_lora_rank": fitting[0],
        }
    return arguments


def _check_memory(settings: EngineSettings) -> None:
    """Refuses a cache beyond the machine's memory; vLLM would spend minutes before it fails."""
    total_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    if settings.kv_cache_gib >= total_gib:
        raise ResourceError(
            f"engine.kvCacheGib: must be below the machine's memory ({total_gib:.1f} GiB), "
            f"got {settings.kv_cache_gib:g}; lower it, 1 is plenty for a small model",
            reason="EngineOutOfMemory",
        )
