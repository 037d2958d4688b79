"""How many GPUs an engine's process asks Ray for. Which of them it gets is Ray's."""

import logging

from ray_jobs.engines.base import EngineSettings, EngineType

_LOG = logging.getLogger(__name__)


def gpus_of_engine(settings: EngineSettings, *, num_gpus: float, num_engines: int = 1) -> int:
    """GPUs of one engine's process.

    vLLM's are what the job says. Transformers takes one where the cluster has one for each engine.

    Args:
        num_gpus: The Ray cluster's.
        num_engines: Engines at once.
    """
    if settings.type == EngineType.VLLM:
        if settings.tensor_parallel > num_gpus:
            _LOG.warning(
                "engine waits for GPUs the cluster hasn't got tensor_parallel=%d num_gpus=%g",
                settings.tensor_parallel,
                num_gpus,
            )
        return settings.tensor_parallel
    return 1 if num_gpus >= num_engines else 0
