"""An engine that invents its tokens: no weights, no torch, and any number of them on one machine.

Passes the engines' contract tests (``tests/contract/engines``) but for adapters and constraints.
The next token is a hash of all before it; a draw is a seeded one among all. Where the settings say
``pipeline_parallel`` it needs a placement group as the real one does, puts an actor on each stage
and dies when one of those does.
"""

import json
import os
import random
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillery.errors import ExternalError
from ray_jobs.engines.answers import (
    cut_at_stop,
    cut_reason,
    decode_answer,
    failed,
    refuse_request,
)
from ray_jobs.engines.base import (
    Completion,
    EngineInfo,
    EngineSettings,
    EngineStats,
    EngineType,
    FinishReason,
    Request,
)
from ray_jobs.engines.model_folder import (
    check_adapter_folder,
    check_model_folder,
    resolve_dtype,
    resolve_max_model_len,
)

NARROW_TOP_P = 1e-3
"""Below it a draw is the likeliest token."""


@dataclass(kw_only=True)
class _Answer:
    request: Request
    draw: random.Random
    ids: list[int] = field(default_factory=list)


class HashEngine:
    """See ``ray_jobs.engines.base.Engine``.

    Args:
        step_s: How long a step takes, whatever is in it; slept, for a real one computes elsewhere.
        find_lost: Says what part of the engine is gone; "" while all is there.
    """

    def __init__(
        self,
        folder: Path,
        settings: EngineSettings,
        *,
        stop_token_ids: Sequence[int],
        step_s: float,
        find_lost: Callable[[], str],
    ) -> None:
        from tokenizers import Tokenizer

        config = check_model_folder(folder)
        self._settings = settings
        self._step_s = step_s
        self._find_lost = find_lost
        self._dtype = resolve_dtype(config, settings.dtype)
        self._window = resolve_max_model_len(config, settings.max_model_len)
        self._tokenizer = _Decoder(Tokenizer.from_file(str(folder / "tokenizer.json")))
        self._vocab_size = int(config["vocab_size"])
        special = self._tokenizer.special_ids
        self._words = [each for each in range(self._tokenizer.num_tokens) if each not in special]
        self._stop_ids = frozenset(stop_token_ids) | {int(config["eos_token_id"])}
        self._running: dict[str, _Answer] = {}
        self._waiting: deque[_Answer] = deque()
        self._failed: list[Completion] = []
        self._num_tokens = self._num_prompt_tokens = 0

    @property
    def info(self) -> EngineInfo:
        settings = {
            "dtype": self._dtype,
            "tensorParallel": self._settings.tensor_parallel,
            "pipelineParallel": self._settings.pipeline_parallel,
        }
        return EngineInfo(
            type="double", version="1.0.0", max_model_len=self._window, settings=settings
        )

    @property
    def _max_running(self) -> int:
        is_vllm = self._settings.type == EngineType.VLLM
        return self._settings.max_num_seqs if is_vllm else self._settings.batch_size

    def add(self, request: Request) -> None:
        error = self._refuse(request)
        if error:
            self._failed.append(failed(request, error))
            return
        seed = request.sampling.seed
        draw = random.Random(seed) if seed is not None else random.Random()
        self._waiting.append(_Answer(request=request, draw=draw))

    def step(self) -> list[Completion]:
        lost = self._find_lost()
        if lost:
            raise ExternalError(
                f"engine: it died while answering, got {lost}", reason="EngineFailed"
            )
        completions, self._failed = self._failed, []
        while self._waiting and len(self._running) < self._max_running:
            answer = self._waiting.popleft()
            self._running[answer.request.request_id] = answer
            self._num_prompt_tokens += len(answer.request.prompt_ids)
        if self._running and self._step_s:
            time.sleep(self._step_s)
        for answer in list(self._running.values()):
            answer.ids.append(self._next_token(answer))
            self._num_tokens += 1
            done = self._complete(answer)
            if done is not None:
                del self._running[answer.request.request_id]
                completions.append(done)
        return completions

    def num_unfinished(self) -> int:
        return len(self._running) + len(self._waiting) + len(self._failed)

    def abort(self, request_ids: Sequence[str]) -> None:
        unwanted = set(request_ids)
        for request_id in unwanted:
            self._running.pop(request_id, None)
        self._waiting = deque(
            each for each in self._waiting if each.request.request_id not in unwanted
        )
        self._failed = [each for each in self._failed if each.request_id not in unwanted]

    def stats(self) -> EngineStats:
        used = sum(len(each.request.prompt_ids) + len(each.ids) for each in self._running.values())
        return EngineStats(
            num_tokens=self._num_tokens,
            num_prompt_tokens=self._num_prompt_tokens,
            num_running=len(self._running),
            num_waiting=len(self._waiting),
            kv_usage=used / (self._max_running * self._window),
        )

    def close(self) -> None:
        self._running.clear()
        self._waiting.clear()

    def _refuse(self, request: Request) -> str:
        error = refuse_request(
            request,
            max_model_len=self._window,
            vocab_size=self._vocab_size,
            max_adapters=self._settings.max_adapters,
        )
        if error or request.adapter is None:
            return error
        try:
            check_adapter_folder(Path(request.adapter))
        except Exception as problem:  # noqa: BLE001 - its text is what is answered
            return str(problem)
        return ""

    def _next_token(self, answer: _Answer) -> int:
        sampling = answer.request.sampling
        is_greedy = (
            sampling.temperature == 0 or sampling.top_k == 1 or sampling.top_p < NARROW_TOP_P
        )
        if not is_greedy:
            return answer.draw.choice([*self._words, *self._stop_ids])
        text = ",".join(map(str, (*answer.request.prompt_ids, *answer.ids)))
        return self._words[zlib.crc32(text.encode()) % len(self._words)]

    def _complete(self, answer: _Answer) -> Completion | None:
        """The answer, if it has ended."""
        request, ids = answer.request, answer.ids
        text, is_stopped = cut_at_stop(
            decode_answer(self._tokenizer, ids, self._stop_ids), request.sampling.stop
        )
        is_stopped |= ids[-1] in self._stop_ids
        is_full = len(request.prompt_ids) + len(ids) >= self._window
        if not is_stopped and not is_full and len(ids) < request.sampling.max_tokens:
            return None
        reason = (
            FinishReason.STOP if is_stopped else cut_reason(len(ids), request.sampling.max_tokens)
        )
        return Completion(
            request_id=request.request_id,
            text=text,
            finish_reason=reason,
            num_prompt_tokens=len(request.prompt_ids),
            num_tokens=len(ids),
        )


class _Decoder:
    """A tokenizer as ``decode_answer`` calls it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.num_tokens: int = tokenizer.get_vocab_size()
        self.special_ids = set(tokenizer.get_added_tokens_decoder())

    def decode(self, ids: Sequence[int], **_: bool) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text


class StageWorker:
    """A pipeline stage: there, or not."""

    def node(self) -> str:
        import ray

        node: str = ray.get_runtime_context().get_node_id()
        return node

    def live(self) -> None:
        """Ends with its process alone."""
        threading.Event().wait()


def make_hash_engine(
    settings: EngineSettings,
    model_folder: str | Path,
    *,
    stop_token_ids: Sequence[int] = (),
    step_s: float = 0.0,
    places: str = "",
) -> HashEngine:
    """As ``ray_jobs.engines.making.make_engine``.

    Args:
        places: A folder; an engine of several stages writes there on which nodes they are.
    """
    find_lost: Callable[[], str] = str
    if settings.pipeline_parallel > 1:
        find_lost = _start_stages(settings, places)
    return HashEngine(
        Path(model_folder),
        settings,
        stop_token_ids=stop_token_ids,
        step_s=step_s,
        find_lost=find_lost,
    )


def _start_stages(settings: EngineSettings, places: str) -> Callable[[], str]:
    """A worker on the first GPU of each stage, in the placement group of this process."""
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = ray.util.get_current_placement_group()
    if group is None:
        raise ExternalError("engine: it must stand in a placement group", reason="EngineFailed")
    num_gpus = settings.tensor_parallel * settings.pipeline_parallel
    with_gpu = [index for index, each in enumerate(group.bundle_specs) if each.get("GPU")]
    if len(with_gpu) != num_gpus:
        raise ExternalError(
            f"engine: needs {num_gpus} GPUs, got {len(with_gpu)}", reason="EngineFailed"
        )
    table = ray.util.placement_group_table(group)["bundles_to_node_id"]
    workers = [
        ray.remote(StageWorker)
        .options(
            num_cpus=0,
            num_gpus=1,
            max_concurrency=2,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                placement_group=group,
                placement_group_bundle_index=with_gpu[stage * settings.tensor_parallel],
            ),
        )
        .remote()
        for stage in range(settings.pipeline_parallel)
    ]
    lives = [worker.live.remote() for worker in workers]
    nodes = ray.get([worker.node.remote() for worker in workers])
    context = ray.get_runtime_context()
    document = {
        "pid": os.getpid(),
        "engineNode": context.get_node_id(),
        "stages": nodes,
        "gpuNodes": [table[index] for index in with_gpu],
    }
    (Path(places) / f"{context.get_actor_id()}.json").write_text(json.dumps(document), "utf-8")

    def find_lost(kept: Any = workers) -> str:
        ended, _ = ray.wait(lives, num_returns=1, timeout=0)
        return "a stage whose process is gone" if ended and kept else ""

    return find_lost
