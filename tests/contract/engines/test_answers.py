"""What every engine answers, and how it says an answer ended."""

import pytest

from ray_jobs.engines.base import Completion, FinishReason, Sampling
from tests.contract.engines.conftest import QUESTIONS, Asker, greedy

pytestmark = pytest.mark.heavy


def drawn(seed: int | None, *, temperature: float = 1.0, max_tokens: int = 12) -> Sampling:
    return Sampling(temperature=temperature, top_p=1.0, max_tokens=max_tokens, seed=seed)


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_both_engines_give_the_same_greedy_answers(vllm: Asker, transformers: Asker) -> None:
    answers = [
        engine.answer(*(engine.request(question, sampling=greedy(40)) for question in QUESTIONS))
        for engine in (vllm, transformers)
    ]
    assert texts(answers[0]) == texts(answers[1])
    assert len(set(texts(answers[0]))) == len(QUESTIONS)
    assert [each.num_tokens for each in answers[0]] == [each.num_tokens for each in answers[1]]


def test_an_answer_is_cut_at_max_tokens(asker: Asker) -> None:
    (answer,) = asker.answer(asker.request(sampling=greedy(7)))
    assert answer.finish_reason == FinishReason.LENGTH
    assert answer.num_tokens == 7
    assert answer.num_prompt_tokens == len(asker.prompt(QUESTIONS[0]))


def test_requests_of_different_max_tokens_share_the_engine(asker: Asker) -> None:
    budgets = [1, 9, 3, 14, 2]
    answers = asker.answer(*(asker.request(sampling=greedy(budget)) for budget in budgets))
    assert [answer.num_tokens for answer in answers] == budgets
    longest = answers[3].text
    assert all(longest.startswith(answer.text.rstrip("\ufffd")) for answer in answers)


def test_an_answer_is_cut_by_the_context_window_before_max_tokens(asker: Asker) -> None:
    window = asker.engine.info.max_model_len
    prompt = (asker.prompt(QUESTIONS[1]) * 20)[: window - 5]
    short, exact = asker.answer(
        asker.request(prompt, sampling=greedy(50)), asker.request(prompt, sampling=greedy(5))
    )
    assert (short.finish_reason, short.num_tokens) == (FinishReason.CONTEXT, 5)
    assert (exact.finish_reason, exact.num_tokens) == (FinishReason.LENGTH, 5)
    assert short.text == exact.text


def test_an_answer_ends_by_itself_at_an_end_token(asker: Asker) -> None:
    # The model is random and this is hot: every token is about as likely as any other.
    requests = [
        asker.request(sampling=drawn(seed, temperature=2.0, max_tokens=200)) for seed in range(12)
    ]
    ended = [
        answer for answer in asker.answer(*requests) if answer.finish_reason == FinishReason.STOP
    ]
    assert ended
    assert all(answer.num_tokens < 200 for answer in ended)
    assert not any("<|im_end|>" in answer.text for answer in ended)


def test_an_answer_ends_before_a_stop_string(asker: Asker) -> None:
    (whole,) = asker.answer(asker.request(sampling=greedy(40)))
    stop = whole.text[12:15]
    want = whole.text[: whole.text.index(stop)]
    (cut, other) = asker.answer(
        asker.request(sampling=greedy(40, stop=("no such text", stop))),
        asker.request(sampling=greedy(40, stop=("no such text",))),
    )
    assert (cut.text, cut.finish_reason) == (want, FinishReason.STOP)
    assert cut.num_tokens < 40
    assert (other.text, other.finish_reason) == (whole.text, FinishReason.LENGTH)


def test_both_engines_stop_at_the_same_token_of_a_stop_string(
    vllm: Asker, transformers: Asker
) -> None:
    (whole,) = vllm.answer(vllm.request(sampling=greedy(40)))
    sampling = greedy(40, stop=(whole.text[10:16],))
    (one,), (other,) = (
        each.answer(each.request(sampling=sampling)) for each in (vllm, transformers)
    )
    assert (one.text, one.num_tokens) == (other.text, other.num_tokens)


def test_equal_prompts_get_equal_greedy_answers(asker: Asker) -> None:
    answers = asker.answer(*(asker.request(QUESTIONS[1]) for _ in range(6)))
    assert len(set(texts(answers))) == 1


def test_a_seed_repeats_a_draw_whatever_its_neighbours(asker: Asker) -> None:
    (alone,) = asker.answer(asker.request(sampling=drawn(7)))
    among = asker.answer(
        asker.request(QUESTIONS[1], sampling=greedy()),
        asker.request(sampling=drawn(8)),
        asker.request(sampling=drawn(7)),
    )
    assert among[2].text == alone.text
    assert among[1].text != alone.text


def test_draws_without_a_seed_differ(asker: Asker) -> None:
    answers = asker.answer(*(asker.request(sampling=drawn(None)) for _ in range(4)))
    assert len(set(texts(answers))) == 4


@pytest.mark.parametrize(
    "narrow",
    [
        Sampling(temperature=0.7, top_p=1.0, max_tokens=16, top_k=1, seed=3),
        Sampling(temperature=0.7, top_p=1e-6, max_tokens=16, seed=3),
    ],
    ids=["top_k", "top_p"],
)
def test_the_narrowest_sampling_is_greedy(asker: Asker, narrow: Sampling) -> None:
    one, other = asker.answer(asker.request(sampling=narrow), asker.request(sampling=greedy()))
    assert one.text == other.text


def test_both_engines_answer_alike_with_an_adapter_beside_the_bare_model(
    vllm: Asker, transformers: Asker
) -> None:
    adapters = (None, vllm.folders.adapters[0], None, vllm.folders.adapters[1])
    answers = [
        texts(engine.answer(*(engine.request(adapter=adapter) for adapter in adapters)))
        for engine in (vllm, transformers)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == answers[0][2]
    assert len(set(answers[0])) == 3
