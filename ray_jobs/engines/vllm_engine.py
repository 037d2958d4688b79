"""vLLM behind the engine interface: its synchronous engine, stepped by the caller.

The process's environment must hold ``environment.engine_environment`` before this module's
``make_vllm_engine`` runs. Finished answers only cross the border: vLLM sends no partial output,
and text is decoded once, when an answer ends. Refusing constraints is ``making``'s.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from distillery.errors import SpecError
from ray_jobs.engines.answers import (
    cut_at_stop,
    cut_reason,
    decode_answer,
    failed,
    refuse_request,
)
from ray_jobs.engines.base import (
    Completion,
    Constraint,
    EngineInfo,
    EngineSettings,
    EngineStats,
    FinishReason,
    Request,
    Sampling,
)
from ray_jobs.engines.failures import LIBRARY_ERRORS, loading, running
from ray_jobs.engines.model_folder import (
    check_adapter_folder,
    check_model_folder,
    resolve_dtype,
    resolve_max_model_len,
)
from ray_jobs.engines.vllm_arguments import check_device, engine_arguments, is_cpu


def make_vllm_engine(
    settings: EngineSettings, folder: Path, *, stop_token_ids: Sequence[int] = ()
) -> "VllmEngine":
    """Loads the model; takes seconds on a CPU, minutes for a large model.

    Raises:
        SpecError: ``ModelUnreadable``.
        ResourceError: ``EngineOutOfMemory``.
    """
    config = check_model_folder(folder)
    settings = replace(
        settings,
        dtype=resolve_dtype(config, settings.dtype),
        max_model_len=resolve_max_model_len(config, settings.max_model_len),
    )
    on_cpu = is_cpu()
    check_device(settings, on_cpu=on_cpu)
    from vllm import EngineArgs
    from vllm.exceptions import VLLMError
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    from ray_jobs.engines.vllm_counters import make_counters

    counters, factory = make_counters()
    with loading(folder, also=(VLLMError,)):
        llm = LLMEngine.from_engine_args(
            EngineArgs(**engine_arguments(settings, folder, on_cpu=on_cpu)),
            # Its batch sizes are those of offline use, where throughput counts and latency doesn't.
            usage_context=UsageContext.LLM_CLASS,
            stat_loggers=[factory],
        )
    return VllmEngine(llm, settings=settings, counters=counters, stop_token_ids=stop_token_ids)


class VllmEngine:
    """See ``base.Engine``. Made by ``make_vllm_engine``."""

    def __init__(
        self, llm: Any, *, settings: EngineSettings, counters: Any, stop_token_ids: Sequence[int]
    ) -> None:
        from vllm.exceptions import VLLMError

        self._llm: Any = llm
        self._settings = settings
        self._counters = counters
        self._errors: tuple[type[Exception], ...] = (VLLMError,)
        self._refusals: tuple[type[Exception], ...] = (*LIBRARY_ERRORS, VLLMError)
        self._tokenizer = llm.get_tokenizer()
        model = llm.vllm_config.model_config
        self._max_model_len: int = model.max_model_len
        self._vocab_size: int = model.get_vocab_size()
        self._stop_ids = tuple(stop_token_ids)
        self._all_stop_ids = frozenset(stop_token_ids) | {self._tokenizer.eos_token_id}
        self._samplings: dict[str, Sampling] = {}
        self._failed: list[Completion] = []
        self._adapters: dict[str, Any] = {}
        self._is_one_adapter_a_batch = settings.max_adapters > 0 and is_cpu()
        self._adapter_in_flight: str | None = None
        self._held: deque[Request] = deque()
        self._parameters = lru_cache(maxsize=256)(self._build_parameters)

    @property
    def info(self) -> EngineInfo:
        from vllm import __version__

        config = self._llm.vllm_config
        return EngineInfo(
            type="vllm",
            version=__version__,
            max_model_len=self._max_model_len,
            settings={
                "dtype": str(config.model_config.dtype).removeprefix("torch."),
                "kvCacheDtype": str(config.cache_config.cache_dtype),
                "device": str(config.device_config.device_type),
                "tensorParallel": config.parallel_config.tensor_parallel_size,
                "pipelineParallel": config.parallel_config.pipeline_parallel_size,
                "maxNumSeqs": config.scheduler_config.max_num_seqs,
                "enforceEager": config.model_config.enforce_eager,
                "seed": config.model_config.seed,
            },
        )

    def add(self, request: Request) -> None:
        error = refuse_request(
            request,
            max_model_len=self._max_model_len,
            vocab_size=self._vocab_size,
            max_adapters=self._settings.max_adapters,
        )
        if error:
            self._failed.append(failed(request, error))
        elif self._must_wait(request):
            self._held.append(request)
        else:
            self._try_submit(request)

    def _must_wait(self, request: Request) -> bool:
        """On a CPU vLLM gives all requests of a batch one adapter's weights (measured, 0.32: bare
        requests too), so only requests of one adapter are in flight together."""
        if not self._is_one_adapter_a_batch or not (self._samplings or self._held):
            return False
        return bool(self._held) or request.adapter != self._adapter_in_flight

    def _submit_held(self) -> None:
        """Once nothing is in flight: the requests held back, as far as their adapter is one."""
        while self._held and not (
            self._samplings and self._held[0].adapter != self._adapter_in_flight
        ):
            self._try_submit(self._held.popleft())

    def _try_submit(self, request: Request) -> None:
        try:
            self._submit(request)
        except SpecError as spec_error:
            self._failed.append(failed(request, spec_error.message))
        # What vLLM refuses about one request: a schema it can't compile, a bad adapter.
        except self._refusals as engine_error:
            error = f"request: the engine refuses it, got {type(engine_error).__name__}"
            error += f" {str(engine_error)[:120]}; see the engine's documentation"
            self._failed.append(failed(request, error))

    def step(self) -> list[Completion]:
        if not self._samplings:
            self._submit_held()
        completions, self._failed = self._failed, []
        if not self._samplings:
            return completions
        with running(also=self._errors):
            outputs = self._llm.step()
        completions += [self._complete(output) for output in outputs if output.finished]
        return completions

    def num_unfinished(self) -> int:
        return len(self._samplings) + len(self._failed) + len(self._held)

    def abort(self, request_ids: Sequence[str]) -> None:
        unwanted = set(request_ids)
        known = [request_id for request_id in request_ids if request_id in self._samplings]
        self._llm.abort_request(known)
        for request_id in known:
            del self._samplings[request_id]
        self._failed = [done for done in self._failed if done.request_id not in unwanted]
        self._held = deque(each for each in self._held if each.request_id not in unwanted)

    def stats(self) -> EngineStats:
        stats: EngineStats = self._counters.read()
        return stats

    def close(self) -> None:
        self._llm.engine_core.shutdown()
        self._llm = None

    def _submit(self, request: Request) -> None:
        from vllm.inputs import tokens_input

        if request.constraint is None:
            parameters = self._parameters(request.sampling)
        else:
            parameters = self._build_parameters(request.sampling, request.constraint)
        self._llm.add_request(
            request.request_id,
            tokens_input(list(request.prompt_ids)),
            parameters,
            lora_request=self._adapter(request.adapter),
        )
        self._samplings[request.request_id] = request.sampling
        self._adapter_in_flight = request.adapter

    def _build_parameters(self, sampling: Sampling, constraint: Constraint | None = None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        structured = None
        if constraint is not None:
            structured = StructuredOutputsParams(
                json=constraint.json_schema, choice=list(constraint.choices) or None
            )
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
            stop=list(sampling.stop),
            stop_token_ids=list(self._stop_ids),
            # Stop strings are looked for in the text; else text is made once, at the end.
            detokenize=bool(sampling.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=structured,
        )

    def _adapter(self, folder: str | None) -> Any:
        """vLLM's handle of the adapter, which is loaded when it is first asked for."""
        if folder is None:
            return None
        if folder not in self._adapters:
            from vllm.lora.request import LoRARequest

            check_adapter_folder(Path(folder))
            number = len(self._adapters) + 1
            handle = LoRARequest(lora_name=folder, lora_int_id=number, lora_path=folder)
            self._llm.add_lora(handle)
            self._adapters[folder] = handle
        return self._adapters[folder]

    def _complete(self, output: Any) -> Completion:
        sampling = self._samplings.pop(output.request_id)
        answer = output.outputs[0]
        ids = list(answer.token_ids)
        text = decode_answer(self._tokenizer, ids, self._all_stop_ids)
        stopped = answer.finish_reason == "stop"
        cut = cut_reason(len(ids), sampling.max_tokens)
        return Completion(
            request_id=output.request_id,
            text=cut_at_stop(text, sampling.stop)[0],
            finish_reason=FinishReason.STOP if stopped else cut,
            num_prompt_tokens=len(output.prompt_token_ids),
            num_tokens=len(ids),
        )
