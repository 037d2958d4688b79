"""An inference engine's settings, for the teacher and for evaluation: a union on ``type``."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from distillery.spec.model import Model


class Dtype(StrEnum):
    """Number format of the weights in the engine."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class VllmEngineSpec(Model):
    """vLLM, in one process a replica."""

    type: Literal["vllm"] = "vllm"
    replicas: int = Field(default=1, ge=1, le=256)
    """Engines that share the rows. No result depends on it."""
    tensor_parallel: int = Field(default=0, ge=0, le=16)
    """GPUs of one node that share each layer of a replica; 0 answers on the CPU."""
    pipeline_parallel: int = Field(default=1, ge=1, le=16)
    """Groups of ``tensorParallel`` GPUs, each within a node, that share a replica's layers."""
    max_model_len: int | None = Field(default=None, ge=16, le=10_000_000)
    """Longest prompt plus answer in tokens. Default: what the model's config says."""
    max_num_seqs: int = Field(default=64, ge=1, le=4096)
    """Most requests in flight in one replica."""
    dtype: Dtype = Dtype.AUTO
    kv_cache_gib: float = Field(default=1.0, gt=0, le=1024)
    """CPU only: memory for the KV cache. A GPU takes ``gpuMemoryUtilization`` instead."""
    gpu_memory_utilization: float = Field(default=0.92, gt=0, le=1)
    """Share of each GPU's memory the engine may use. Not used on a CPU."""
    enforce_eager: bool = False
    """Skip graph capture and compilation: slower tokens, faster start."""
    structured_outputs: bool = False
    """Force the answer's form: a JSON schema for reasoning prompts, the label list for labels."""


class TransformersEngineSpec(Model):
    """Transformers' own ``generate`` in batches: slow, and runs wherever torch does."""

    type: Literal["transformers"] = "transformers"
    replicas: int = Field(default=1, ge=1, le=256)
    """Engines that share the rows. No result depends on it."""
    max_model_len: int | None = Field(default=None, ge=16, le=10_000_000)
    """Longest prompt plus answer in tokens. Default: what the model's config says."""
    batch_size: int = Field(default=16, ge=1, le=1024)
    """Requests answered together."""
    dtype: Dtype = Dtype.AUTO


EngineSpec = Annotated[VllmEngineSpec | TransformersEngineSpec, Field(discriminator="type")]
