"""What all engines say alike, and the environment they ask for."""

import pytest

from ray_jobs.engines.answers import cut_at_stop, cut_reason, failed, refuse_request
from ray_jobs.engines.base import (
    EngineSettings,
    EngineStats,
    EngineType,
    FinishReason,
    Request,
    Sampling,
)
from ray_jobs.engines.environment import engine_environment

SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=8)


def request(*ids: int, adapter: str | None = None) -> Request:
    return Request(request_id="a", prompt_ids=ids, sampling=SAMPLING, adapter=adapter)


@pytest.mark.parametrize(
    ("refused", "want"),
    [
        (request(1, 2, 3), ""),
        (request(), "got none; send"),
        (request(1, 2, 3, 4), r"maxModelLen (4 tokens), got 4 tokens; raise"),
        (request(1, 9), "vocabulary of 9, got 1 to 9; use"),
        (request(-1), "vocabulary of 9, got -1 to -1; use"),
        (request(1, adapter="x"), "made without room for adapters, got one; make it with"),
    ],
)
def test_what_can_t_be_answered_is_said(refused: Request, want: str) -> None:
    error = refuse_request(refused, max_model_len=4, vocab_size=9, max_adapters=0)
    assert want in error
    assert bool(error) == bool(want)


def test_a_failed_request_holds_no_answer() -> None:
    completion = failed(request(1, 2), "x" * 300)
    assert completion.finish_reason == FinishReason.ERROR
    assert (completion.num_prompt_tokens, completion.num_tokens) == (2, 0)
    assert completion.error == "x" * 256


@pytest.mark.parametrize(
    ("num_tokens", "want"), [(7, FinishReason.CONTEXT), (8, FinishReason.LENGTH)]
)
def test_a_cut_before_max_tokens_is_the_window_s(num_tokens: int, want: FinishReason) -> None:
    assert cut_reason(num_tokens, 8) == want


@pytest.mark.parametrize(
    ("stops", "want"),
    [
        ((), ("one two three", False)),
        (("four",), ("one two three", False)),
        (("three", "two"), ("one ", True)),
        (("one",), ("", True)),
    ],
)
def test_a_text_is_cut_at_the_stop_that_comes_first(
    stops: tuple[str, ...], want: tuple[str, bool]
) -> None:
    assert cut_at_stop("one two three", stops) == want


def test_vllm_asks_for_one_process_unless_the_model_is_split() -> None:
    name = "VLLM_ENABLE_V1_MULTIPROCESSING"
    for tensor_parallel, want in ((0, "0"), (1, "0"), (2, "1")):
        settings = EngineSettings(type=EngineType.VLLM, tensor_parallel=tensor_parallel)
        assert engine_environment(settings)[name] == want
    assert name not in engine_environment(EngineSettings(type=EngineType.TRANSFORMERS))


@pytest.mark.parametrize("kind", list(EngineType))
def test_no_engine_asks_the_network(kind: EngineType) -> None:
    assert engine_environment(EngineSettings(type=kind))["HF_HUB_OFFLINE"] == "1"


def test_an_engine_that_has_done_nothing_has_counted_nothing() -> None:
    assert EngineStats().num_tokens == 0
