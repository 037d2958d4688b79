"""A job's engine fields to the settings an engine is made with."""

from distillery.spec.engine import EngineSpec, VllmEngineSpec
from ray_jobs.engines.base import EngineSettings, EngineType


def engine_settings(
    spec: EngineSpec, *, is_structured: bool = False, max_adapters: int = 0, max_lora_rank: int = 16
) -> EngineSettings:
    """The engine's settings as the job asks for them; the rest is the calling stage's."""
    if isinstance(spec, VllmEngineSpec):
        return EngineSettings(
            type=EngineType.VLLM,
            max_model_len=spec.max_model_len,
            dtype=spec.dtype.value,
            max_num_seqs=spec.max_num_seqs,
            tensor_parallel=spec.tensor_parallel,
            pipeline_parallel=spec.pipeline_parallel,
            kv_cache_gib=spec.kv_cache_gib,
            gpu_memory_utilization=spec.gpu_memory_utilization,
            enforce_eager=spec.enforce_eager,
            structured=is_structured,
            max_adapters=max_adapters,
            max_lora_rank=max_lora_rank,
        )
    return EngineSettings(
        type=EngineType.TRANSFORMERS,
        max_model_len=spec.max_model_len,
        dtype=spec.dtype.value,
        batch_size=spec.batch_size,
        structured=is_structured,
        max_adapters=max_adapters,
        max_lora_rank=max_lora_rank,
    )
