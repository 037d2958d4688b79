"""Transformers' ``generate`` behind the engine interface: one batch a step, wherever torch runs.

Slower than vLLM (no request joins a running batch) and the simplest thing that is right: the
reference the vLLM engine is compared with. No constraints (``making`` refuses them). A row's draw
depends on its own seed only (``row_sampling``), so a request need not be alone in its batch.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from distillery.errors import SpecError, word
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
    FinishReason,
    Request,
)
from ray_jobs.engines.failures import LIBRARY_ERRORS, loading, running
from ray_jobs.engines.model_folder import (
    check_adapter_folder,
    check_model_folder,
    resolve_dtype,
    resolve_max_model_len,
)


def make_transformers_engine(
    settings: EngineSettings, folder: Path, *, stop_token_ids: Sequence[int] = ()
) -> "TransformersEngine":
    """Loads the model on the GPU if there is one, else the CPU.

    Raises:
        SpecError: ``ModelUnreadable``; ``InvalidSpec`` for a ``max_model_len`` above the model's.
        ResourceError: ``EngineOutOfMemory``.
    """
    config = check_model_folder(folder)
    max_model_len = resolve_max_model_len(config, settings.max_model_len)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model, report = AutoModelForCausalLM.from_pretrained(
            str(folder),
            local_files_only=True,
            dtype=getattr(torch, resolve_dtype(config, settings.dtype)),
            output_loading_info=True,
        )
        _refuse_gaps(folder, [*report["missing_keys"], *report["mismatched_keys"]])
        model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    return TransformersEngine(
        model,
        tokenizer,
        settings=settings,
        max_model_len=max_model_len,
        stop_token_ids=stop_token_ids,
    )


def _refuse_gaps(folder: Path, tensors: Sequence[Any]) -> None:
    """Transformers would fill absent weights with random numbers and only log it."""
    if tensors:
        raise SpecError(
            word(
                str(folder),
                "the weights must hold every tensor of the model, got "
                f"{len(tensors)} missing or of another shape ({str(tensors[0])[:60]}); "
                "copy the model again",
            ),
            reason="ModelUnreadable",
        )


class TransformersEngine:
    """See ``base.Engine``. Made by ``make_transformers_engine``."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        settings: EngineSettings,
        max_model_len: int,
        stop_token_ids: Sequence[int],
    ) -> None:
        import torch
        from transformers import GenerationConfig

        self._model = model
        self._tokenizer = tokenizer
        self._settings = settings
        self._max_model_len = max_model_len
        self._vocab_size: int = model.config.get_text_config().vocab_size
        own_ends = model.generation_config.eos_token_id
        own_ends = own_ends if isinstance(own_ends, list) else [own_ends]
        ends = {*stop_token_ids, *own_ends, tokenizer.eos_token_id} - {None}
        self._stop_ids: frozenset[int] = frozenset(ends)
        # The folder's own sampling defaults would else fill in what a request leaves open.
        model.generation_config = GenerationConfig()
        self._shared = torch.Generator().manual_seed(settings.seed)
        self._queue: deque[Request] = deque()
        self._failed: list[Completion] = []
        self._adapters: dict[str, str] = {}
        self._sums = {"num_tokens": 0, "num_prompt_tokens": 0}

    @property
    def info(self) -> EngineInfo:
        from transformers import __version__

        return EngineInfo(
            type="transformers",
            version=__version__,
            max_model_len=self._max_model_len,
            settings={
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "device": self._model.device.type,
                "batchSize": self._settings.batch_size,
                "seed": self._settings.seed,
            },
        )

    def add(self, request: Request) -> None:
        error = refuse_request(
            request,
            max_model_len=self._max_model_len,
            vocab_size=self._vocab_size,
            max_adapters=self._settings.max_adapters,
        )
        if request.constraint is not None:
            error = "constraint: transformers can't constrain an answer; use the vllm engine"
        if not error and request.adapter is not None:
            error = self._load_adapter(request.adapter)
        if error:
            self._failed.append(failed(request, error))
        else:
            self._queue.append(request)

    def step(self) -> list[Completion]:
        completions, self._failed = self._failed, []
        batch = self._next_batch()
        if batch:
            with running():
                completions += self._answer(batch)
        return completions

    def num_unfinished(self) -> int:
        return len(self._queue) + len(self._failed)

    def abort(self, request_ids: Sequence[str]) -> None:
        unwanted = set(request_ids)
        self._queue = deque(each for each in self._queue if each.request_id not in unwanted)
        self._failed = [each for each in self._failed if each.request_id not in unwanted]

    def stats(self) -> EngineStats:
        return EngineStats(**self._sums, num_waiting=len(self._queue))

    def close(self) -> None:
        self._model = None
        self._queue.clear()

    def _next_batch(self) -> list[Request]:
        """The oldest requests of the oldest request's adapter."""
        if not self._queue:
            return []
        adapter = self._queue[0].adapter
        batch: list[Request] = []
        rest: deque[Request] = deque()
        for request in self._queue:
            fits = len(batch) < self._settings.batch_size and request.adapter == adapter
            (batch if fits else rest).append(request)
        self._queue = rest
        return batch

    def _answer(self, batch: Sequence[Request]) -> list[Completion]:
        import torch
        from transformers import GenerationConfig

        from ray_jobs.engines.row_limits import RowLimits
        from ray_jobs.engines.row_sampling import RowSampler

        limits = [self._limit(request) for request in batch]
        ids, mask = self._pad(batch)
        width = ids.shape[1]
        self._sums["num_prompt_tokens"] += int(mask.sum())
        rows = RowLimits(batch, limits, width=width, decode=self._decode, stop_ids=self._stop_ids)
        rows.count_into(self._sums)
        config = GenerationConfig(
            do_sample=False, max_new_tokens=max(limits), pad_token_id=self._pad_id(), use_cache=True
        )
        with torch.inference_mode(), self._adapted(batch[0].adapter):
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=[RowSampler([each.sampling for each in batch], self._shared)],
                stopping_criteria=[rows],
            )
        generated = output[:, width:].tolist()
        return [
            self._complete(request, ids[:length])
            for request, ids, length in zip(batch, generated, rows.lengths, strict=True)
        ]

    def _limit(self, request: Request) -> int:
        """Most tokens this request can get."""
        return min(request.sampling.max_tokens, self._max_model_len - len(request.prompt_ids))

    def _pad(self, batch: Sequence[Request]) -> tuple[Any, Any]:
        """Ids and mask, ``[batch, longest prompt]``, filled up on the left."""
        import torch

        width = max(len(request.prompt_ids) for request in batch)
        ids = torch.full((len(batch), width), self._pad_id(), dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, request in enumerate(batch):
            ids[row, width - len(request.prompt_ids) :] = torch.tensor(list(request.prompt_ids))
            mask[row, width - len(request.prompt_ids) :] = 1
        device = self._model.device
        return ids.to(device), mask.to(device)

    def _pad_id(self) -> int:
        """Any token does: the mask hides it, and what follows an answer's end is dropped."""
        pad: int | None = self._tokenizer.pad_token_id
        return 0 if pad is None else pad

    def _decode(self, ids: Sequence[int]) -> str:
        return decode_answer(self._tokenizer, ids, self._stop_ids)

    def _complete(self, request: Request, ids: list[int]) -> Completion:
        text, found = cut_at_stop(self._decode(ids), request.sampling.stop)
        stopped = found or (bool(ids) and ids[-1] in self._stop_ids)
        cut = cut_reason(len(ids), request.sampling.max_tokens)
        return Completion(
            request_id=request.request_id,
            text=text,
            finish_reason=FinishReason.STOP if stopped else cut,
            num_prompt_tokens=len(request.prompt_ids),
            num_tokens=len(ids),
        )

    def _load_adapter(self, folder: str) -> str:
        """Loads it unless it is loaded; returns what is wrong with it, or ""."""
        if folder in self._adapters:
            return ""
        from peft import PeftModel

        name = f"adapter{len(self._adapters)}"
        try:
            check_adapter_folder(Path(folder))
            if self._adapters:
                self._model.load_adapter(folder, adapter_name=name)
            else:
                self._model = PeftModel.from_pretrained(self._model, folder, adapter_name=name)
        except SpecError as error:
            return error.message
        except LIBRARY_ERRORS as error:
            return f"adapter: it does not fit the model, got {type(error).__name__}; train it anew"
        self._model.eval()
        self._adapters[folder] = name
        return ""

    def _adapted(self, folder: str | None) -> AbstractContextManager[Any]:
        """A context in which the model answers with this adapter, or without any."""
        if folder is not None:
            self._model.set_adapter(self._adapters[folder])
            return nullcontext()
        if self._adapters:
            context: AbstractContextManager[Any] = self._model.disable_adapter()
            return context
        return nullcontext()
