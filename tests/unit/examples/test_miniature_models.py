"""The miniature's tokenizer and training loop, with the real libraries on a few rows."""

import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples.miniature import problems, prompts, recipe, training

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

pytestmark = pytest.mark.heavy

TINY = training.Shape(hidden=32, layers=1, heads=1, feed_forward=48)


@pytest.fixture(scope="module")
def material() -> recipe.Material:
    return recipe.write_material(0)


@pytest.fixture(scope="module")
def tokens(material: recipe.Material) -> "PreTrainedTokenizerFast":
    return recipe.build_tokenizer(material)


@pytest.fixture
def small(material: recipe.Material, monkeypatch: pytest.MonkeyPatch) -> recipe.Material:
    """The material with tiny models and three steps, so that all of it runs in seconds."""
    monkeypatch.setattr(recipe, "TEACHER_SHAPE", TINY)
    monkeypatch.setattr(recipe, "STUDENT_SHAPE", TINY)
    for name in ("TEACHER_SCHEDULE", "STUDENT_SCHEDULE"):
        monkeypatch.setattr(recipe, name, replace(getattr(recipe, name), steps=3, batch=4))
    return material


def test_every_number_up_to_the_largest_sum_is_one_token_wherever_it_stands(
    tokens: "PreTrainedTokenizerFast",
) -> None:
    for number in range(problems.LARGEST_SUM + 1):
        (alone,) = tokens(str(number))["input_ids"]
        assert alone in tokens(f"Tom has {number} coins.")["input_ids"]
        assert alone in tokens(f'{{"reason":"1+2={number}, 3"')["input_ids"]


def test_every_question_of_four_numbers_has_the_same_length(
    tokens: "PreTrainedTokenizerFast", material: recipe.Material
) -> None:
    lengths = {len(tokens(problem.question)["input_ids"]) for problem in material.test}
    assert lengths == {23}


@pytest.mark.parametrize("text", ["Zürich 三 \x07 12345", "  two  blanks\n\n\ttab", ""])
def test_any_text_survives_the_tokenizer(tokens: "PreTrainedTokenizerFast", text: str) -> None:
    assert tokens.decode(tokens(text)["input_ids"]) == text


def test_tokenizer_is_the_same_each_time(
    tokens: "PreTrainedTokenizerFast", material: recipe.Material
) -> None:
    again = recipe.build_tokenizer(material)
    assert again.backend_tokenizer.to_str() == tokens.backend_tokenizer.to_str()


def test_template_writes_chatml_and_the_loss_starts_after_the_prompt(
    tokens: "PreTrainedTokenizerFast", material: recipe.Material
) -> None:
    chat = prompts.build_plain_chat(material.train[0])
    (sample,) = training.tokenize_chats(tokens, chats=[chat])
    want_prompt = (
        f"<|im_start|>system\n{prompts.SYSTEM_VANILLA}<|im_end|>\n"
        f"<|im_start|>user\n{material.train[0].question}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokens.decode(sample.ids[: sample.num_prompt]) == want_prompt
    assert tokens.decode(sample.ids[sample.num_prompt :]) == f"{material.train[0].answer}<|im_end|>"
    assert tokens.apply_chat_template(chat, tokenize=False) == tokens.decode(sample.ids) + "\n"


def test_loss_is_the_mean_over_reply_tokens_whatever_the_padding(
    tokens: "PreTrainedTokenizerFast", material: recipe.Material
) -> None:
    import torch

    model = training.build_model(TINY, tokenizer=tokens, seed=0)
    samples = training.tokenize_chats(
        tokens,
        chats=[
            prompts.build_reasoned_chat(material.train[0]),
            prompts.build_plain_chat(material.train[1]),
        ],
    )
    naive = []
    for sample in samples:
        with torch.no_grad():
            log_p_tv = model(torch.tensor([sample.ids])).logits[0].log_softmax(-1)
        naive += [
            -log_p_tv[place - 1, sample.ids[place]].item()
            for place in range(sample.num_prompt, len(sample.ids))
        ]
    loss = training.compute_loss(model, samples=samples).item()
    assert loss == pytest.approx(sum(naive) / len(naive), rel=1e-5)


@pytest.mark.parametrize(("step", "want"), [(0, 0.02), (49, 1.0), (50, 1.0), (250, 0.525)])
def test_rate_rises_then_falls_by_the_cosine(step: int, want: float) -> None:
    schedule = training.Schedule(steps=450, batch=1, learning_rate=1.0)
    assert training.scale_rate(step, schedule=schedule) == pytest.approx(want)


def test_rate_ends_near_a_twentieth_of_the_peak() -> None:
    schedule = training.Schedule(steps=450, batch=1, learning_rate=1.0)
    assert training.scale_rate(449, schedule=schedule) == pytest.approx(0.05, abs=1e-3)


def test_batches_take_pools_by_weight() -> None:
    few, many = (training.Sample(ids=(name,), num_prompt=0) for name in (1, 2))
    batches = training.draw_batches(
        random.Random(0), pools=[(0.25, [few]), (0.75, [many])], batch=1000
    )
    assert 200 <= next(batches).count(few) <= 300


def test_everything_is_made_with_lines_of_progress(small: recipe.Material, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lines: list[str] = []
    recipe.make_all(tmp_path, seed=0, say=lines.append)
    assert lines[0] == "data: 6000 train, 400 validation, 1200 test questions"
    assert [line.split(",")[0] for line in lines[2:]] == ["teacher: step 3/3", "student: step 3/3"]
    first = (tmp_path / "data" / "test.jsonl").read_text().splitlines()[0]
    numbers = "-".join(str(number) for number in sorted(small.test[0].numbers))
    want = (
        f'{{"question": "{small.test[0].question}", "answer": "{small.test[0].answer}", '
        f'"numbers": "{numbers}"}}'
    )
    assert first == want
    for name in ("teacher", "student"):
        loaded = AutoTokenizer.from_pretrained(tmp_path / name)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / name)
        assert loaded.is_fast
        assert loaded.chat_template
        assert loaded.eos_token == "<|im_end|>"
        assert model.generation_config.eos_token_id == loaded.eos_token_id
        assert model.config.architectures == ["LlamaForCausalLM"]


def test_training_twice_gives_the_same_weights(small: recipe.Material, tmp_path: Path) -> None:
    tokens = recipe.build_tokenizer(small)

    def make(name: str) -> bytes:
        folder, lines = tmp_path / name, list[str]()
        recipe.make_student(folder, material=small, tokens=tokens, seed=0, say=lines.append)
        return (folder / "model.safetensors").read_bytes()

    assert make("first") == make("second")
