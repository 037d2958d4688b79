"""How every engine takes requests, refuses them and counts them."""

from pathlib import Path

import pytest

from ray_jobs.engines.base import Constraint, FinishReason
from tests.contract.engines.conftest import QUESTIONS, Asker, greedy

pytestmark = pytest.mark.heavy


def test_an_engine_says_what_it_is(vllm: Asker, transformers: Asker) -> None:
    one, other = vllm.engine.info, transformers.engine.info
    assert (one.type, other.type) == ("vllm", "transformers")
    assert one.version.count(".") == other.version.count(".") == 2
    assert one.max_model_len == other.max_model_len == 256
    # vLLM's own "auto" would make these weights bfloat16.
    assert one.settings["dtype"] == other.settings["dtype"] == "float32"


def test_an_idle_engine_returns_nothing(asker: Asker) -> None:
    assert asker.engine.step() == []
    assert asker.engine.num_unfinished() == 0


def test_requests_may_be_added_between_steps(asker: Asker) -> None:
    first = [asker.request(question) for question in QUESTIONS]
    for request in first:
        asker.engine.add(request)
    early = asker.engine.step()
    late = asker.request(QUESTIONS[2])
    asker.engine.add(late)
    assert asker.engine.num_unfinished() == len(first) + 1 - len(early)
    completions = asker.drain() | {each.request_id: each for each in early}
    assert set(completions) == {request.request_id for request in [*first, late]}
    assert completions[late.request_id].text == completions[first[2].request_id].text


def test_aborted_requests_never_come_back(asker: Asker) -> None:
    requests = [asker.request(sampling=greedy(30)) for _ in range(12)]
    refused = asker.request([])
    for request in (*requests, refused):
        asker.engine.add(request)
    early = {completion.request_id for completion in asker.engine.step()}
    running = [request.request_id for request in requests if request.request_id not in early]
    aborted = [running[0], running[-1], "never heard of"]
    asker.engine.abort(aborted)
    assert asker.engine.num_unfinished() == len(running) - 2
    assert set(asker.drain()) == set(running) - set(aborted)


def test_a_refused_request_can_be_aborted_too(asker: Asker) -> None:
    refused = asker.request([])
    asker.engine.add(refused)
    asker.engine.abort([refused.request_id])
    assert asker.engine.num_unfinished() == 0
    assert asker.engine.step() == []


def test_an_aborted_id_may_be_used_again(asker: Asker) -> None:
    request = asker.request()
    asker.engine.add(request)
    asker.engine.abort([request.request_id])
    (again,) = asker.answer(request)
    assert again.num_tokens == 16


def test_the_counters_only_grow_and_agree_with_the_answers(asker: Asker) -> None:
    before = asker.engine.stats()
    requests = [asker.request(question) for question in QUESTIONS]
    for request in requests:
        asker.engine.add(request)
    seen, answered = [before.num_tokens], 0
    while asker.engine.num_unfinished():
        answered += sum(completion.num_tokens for completion in asker.engine.step())
        seen.append(asker.engine.stats().num_tokens)
    after = asker.engine.stats()
    assert seen == sorted(seen)
    assert after.num_tokens - before.num_tokens == answered == 16 * len(QUESTIONS)
    want_prompt = sum(len(request.prompt_ids) for request in requests)
    assert after.num_prompt_tokens - before.num_prompt_tokens == want_prompt
    assert (after.num_running, after.num_waiting, after.kv_usage) == (0, 0, 0.0)


def test_waiting_and_running_requests_are_counted(vllm: Asker) -> None:
    requests = [vllm.request(sampling=greedy(4)) for _ in range(10)]
    for request in requests:
        vllm.engine.add(request)
    vllm.engine.step()
    stats = vllm.engine.stats()
    assert (stats.num_running, stats.num_waiting) == (8, 2)
    assert 0 < stats.kv_usage < 1
    vllm.drain()


def test_a_prompt_too_long_ends_as_an_error_that_names_both_lengths(asker: Asker) -> None:
    window = asker.engine.info.max_model_len
    at_the_window, fits = asker.answer(
        asker.request([5] * window), asker.request([5] * (window - 1), sampling=greedy(1))
    )
    assert at_the_window.finish_reason == FinishReason.ERROR
    assert at_the_window.error == (
        "prompt: must leave room for an answer in maxModelLen (256 tokens), got 256 tokens; "
        "raise maxModelLen or shorten the prompt"
    )
    assert (at_the_window.text, at_the_window.num_tokens) == ("", 0)
    assert (fits.finish_reason, fits.num_tokens) == (FinishReason.LENGTH, 1)


@pytest.mark.parametrize(
    ("prompt", "want"),
    [
        ([], "prompt: must hold a token, got none; send the rendered prompt"),
        ([5, 99_999], "got 5 to 99999; use the model's own tokenizer"),
        ([-1, 5], "got -1 to 5; use the model's own tokenizer"),
    ],
    ids=["empty", "beyond the vocabulary", "negative"],
)
def test_a_prompt_that_is_none_ends_as_an_error(asker: Asker, prompt: list[int], want: str) -> None:
    (answer,) = asker.answer(asker.request(prompt))
    assert answer.finish_reason == FinishReason.ERROR
    assert want in answer.error


def test_a_refused_request_leaves_the_others_alone(asker: Asker) -> None:
    (want,) = asker.answer(asker.request())
    good, bad = asker.answer(asker.request(), asker.request([]))
    assert good.text == want.text
    assert bad.finish_reason == FinishReason.ERROR


def test_an_unreadable_adapter_ends_as_an_error(asker: Asker, tmp_path: Path) -> None:
    (answer,) = asker.answer(asker.request(adapter=str(tmp_path)))
    assert answer.finish_reason == FinishReason.ERROR
    assert "adapter_config.json: a readable model is needed, got no readable file" in answer.error


def test_transformers_ends_a_constrained_request_as_an_error(transformers: Asker) -> None:
    constraint = Constraint(choices=("yes", "no"))
    (answer,) = transformers.answer(transformers.request(constraint=constraint))
    assert answer.finish_reason == FinishReason.ERROR
    assert answer.error == (
        "constraint: transformers can't constrain an answer; use the vllm engine"
    )
