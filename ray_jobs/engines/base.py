"""The one engine interface: give it token ids, step it, take the answers that ended.

Implemented by ``vllm_engine.py`` and ``transformers_engine.py``, made by ``making.py``; all pass
the same contract tests. An engine knows nothing of rows, prompts or storage. It is driven from one
thread by a loop (``ray_jobs.generate.engine_actor``, ``ray_jobs.evaluate``): requests may be added
between any two steps, so there are no batch borders.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class EngineType(StrEnum):
    """Which library answers."""

    VLLM = "vllm"
    TRANSFORMERS = "transformers"


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """By itself: an end-of-turn token or a stop string."""
    LENGTH = "length"
    """Cut at ``max_tokens``."""
    CONTEXT = "context"
    """Cut by the engine's context window, before ``max_tokens``."""
    ERROR = "error"
    """The engine could not answer this request; ``Completion.error`` says why."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to draw. ``temperature`` 0 is greedy; ``seed`` makes a draw repeatable."""

    temperature: float
    top_p: float
    max_tokens: int
    top_k: int = -1
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """What the answer must look like: exactly one of a JSON schema and a list of choices."""

    json_schema: dict[str, Any] | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """One prompt as token ids; ``request_id`` is the caller's, unique among those unfinished.

    ``adapter`` names a LoRA adapter folder, for engines made with ``max_adapters`` > 0.
    """

    request_id: str
    prompt_ids: Sequence[int]
    sampling: Sampling
    constraint: Constraint | None = None
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One finished answer. ``text`` is without special tokens; ``num_tokens`` counts generated
    tokens, the end-of-turn token included."""

    request_id: str
    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_tokens: int
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """The engine's own counters: monotonic ``num_tokens`` generated (unfinished requests too),
    and requests running, waiting and preempted (monotonic), share of the KV cache in use (0-1)."""

    num_tokens: int = 0
    num_prompt_tokens: int = 0
    num_running: int = 0
    num_waiting: int = 0
    num_preempted: int = 0
    kv_usage: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What is recorded beside every answer, and the longest prompt plus answer it takes."""

    type: str
    version: str
    max_model_len: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How to load a model and drive it; stages map their spec's engine onto it.

    ``max_num_seqs`` (vllm) and ``batch_size`` (transformers) bound the requests in flight.
    ``kv_cache_gib`` is a CPU's, ``gpu_memory_utilization`` a GPU's (share, 0-1).
    ``tensor_parallel`` is how many GPUs share each layer (vllm); 0 is the CPU.
    ``pipeline_parallel`` is how many such groups share the layers; above 1 the engine's process
    stands in a Ray placement group that has a bundle for each GPU.
    ``max_adapters`` is the most LoRA adapters used at once, ``max_lora_rank`` their largest rank.
    ``structured`` says that requests carry constraints.
    """

    type: EngineType
    max_model_len: int | None = None
    """Longest prompt plus answer in tokens; ``None``: what the model's config says."""
    dtype: str = "auto"
    batch_size: int = 16
    max_num_seqs: int = 64
    kv_cache_gib: float = 1.0
    gpu_memory_utilization: float = 0.92
    enforce_eager: bool = False
    tensor_parallel: int = 0
    pipeline_parallel: int = 1
    max_adapters: int = 0
    max_lora_rank: int = 16
    structured: bool = False
    seed: int = 0


class Engine(Protocol):
    """A loaded model that answers requests.

    Raises (making it, or from ``step``): ``ResourceError`` reason ``EngineOutOfMemory``;
    ``SpecError`` reason ``ModelUnreadable`` for a folder that is no readable model;
    ``ExternalError`` reason ``EngineFailed`` when the engine died.
    """

    @property
    def info(self) -> EngineInfo: ...

    def add(self, request: Request) -> None:
        """Queues the request. A prompt that leaves no room for one token ends at once as
        ``FinishReason.ERROR`` from the next ``step``, naming both lengths; it never raises."""

    def step(self) -> list[Completion]:
        """Advances all running requests by at least one token and returns those that ended.
        Returns an empty list at once when nothing is queued."""

    def num_unfinished(self) -> int:
        """Requests added and not yet returned."""

    def abort(self, request_ids: Sequence[str]) -> None:
        """Forgets these requests; unknown ids are ignored."""

    def stats(self) -> EngineStats: ...

    def close(self) -> None:
        """Frees the model. The engine can't be used afterwards."""
