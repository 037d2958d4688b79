"""Which tokens of a conversation bear loss."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.errors import SpecError
from ray_jobs.records import Message
from ray_jobs.rendering import Renderer, TrainingExample
from tests.models import CHATML_TEMPLATE

pytestmark = pytest.mark.heavy
MakeRenderer = Callable[..., Renderer]
USER = Message(role="user", content="How many coins?")
REPLY = Message(role="assistant", content="8")

texts = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|"), min_size=1, max_size=30)


@st.composite
def dialogues(draw: st.DrawFn) -> list[Message]:
    turns = [
        Message(role=role, content=draw(texts))
        for _ in range(draw(st.integers(1, 3)))
        for role in ("user", "assistant")
    ]
    return [Message(role="system", content=draw(texts)), *turns] if draw(st.booleans()) else turns


def naive_chatml(renderer: Renderer, messages: list[Message]) -> TrainingExample:
    """Mask by hand: each piece of the ChatML text tokenised alone, special tokens as borders."""
    ids: list[int] = []
    mask: list[int] = []

    def put(text: str, *, bears_loss: bool) -> None:
        piece = renderer._tokenizer(text, add_special_tokens=False)["input_ids"]
        ids.extend(piece)
        mask.extend([int(bears_loss)] * len(piece))

    for message in messages:
        put(f"<|im_start|>{message.role}\n", bears_loss=False)
        put(message.content, bears_loss=message.role == "assistant")
        put("<|im_end|>", bears_loss=message.role == "assistant")
        put("\n", bears_loss=False)
    return TrainingExample(ids=ids[:-1], mask=mask[:-1])


def replies_of(renderer: Renderer, example: TrainingExample) -> list[str]:
    """The texts of the runs of loss-bearing tokens, without their end token."""
    runs: list[list[int]] = []
    before = 0
    for token, bears_loss in zip(example.ids, example.mask, strict=True):
        if bears_loss:
            if not before:
                runs.append([])
            runs[-1].append(token)
        before = bears_loss
    assert all(run[-1] == renderer.end_of_turn_id for run in runs)
    return [renderer.decode(run[:-1]) for run in runs]


def test_loss_lies_on_the_reply_and_its_end_of_turn_token_only(chatml: Renderer) -> None:
    example = chatml.training_example([USER, REPLY])
    prompt = chatml.prompt_ids([USER])
    assert example.ids[: len(prompt)] == prompt
    assert example.mask == [0] * len(prompt) + [1, 1]
    assert example.ids[-1] == chatml.end_of_turn_id


def test_every_assistant_turn_bears_loss(chatml: Renderer) -> None:
    messages = [USER, REPLY, Message(role="user", content="Sure?"), REPLY]
    assert chatml.training_example(messages) == naive_chatml(chatml, messages)
    assert replies_of(chatml, chatml.training_example(messages)) == ["8", "8"]


def test_what_follows_the_last_reply_is_left_out(chatml: Renderer) -> None:
    trailing = chatml.training_example([USER, REPLY, USER])
    assert trailing == chatml.training_example([USER, REPLY])


def test_examples_in_a_batch_are_the_examples_one_by_one(chatml: Renderer) -> None:
    conversations = [[USER, REPLY], [USER, REPLY, USER, REPLY]]
    want = [chatml.training_example(each) for each in conversations]
    assert chatml.training_examples(conversations) == want


@settings(deadline=None)
@given(messages=dialogues())
def test_loss_bearing_tokens_are_the_naive_ones_and_decode_to_the_replies(
    chatml: Renderer, messages: list[Message]
) -> None:
    example = chatml.training_example(messages)
    naive = naive_chatml(chatml, messages)
    assert replies_of(chatml, example) == [
        each.content for each in messages if each.role == "assistant"
    ]
    assert len(example.ids) == len(example.mask)
    assert chatml.decode(example.ids) == chatml.decode(naive.ids)


@settings(deadline=None)
@given(messages=dialogues())
def test_a_prompt_begins_the_example_whatever_the_template(
    llama2: Renderer, messages: list[Message]
) -> None:
    example = llama2.training_example(messages)
    for turn, message in enumerate(messages):
        if message.role == "assistant":
            prompt = llama2.prompt_ids(messages[:turn])
            assert example.ids[: len(prompt)] == prompt
            assert example.mask[len(prompt) - 1 : len(prompt) + 1] == [0, 1]


def test_a_prompt_that_does_not_begin_prompt_plus_reply_is_refused(
    make_renderer: MakeRenderer,
) -> None:
    renderer = make_renderer(CHATML_TEMPLATE.replace("assistant\\n", "assistant\\n "))
    with pytest.raises(SpecError, match=r"ids of a prompt must begin .* message 2; use") as e:
        renderer.training_example([USER, REPLY])
    assert e.value.reason == "TemplateNotPrefix"


def test_a_template_that_rewrites_earlier_replies_is_refused(make_renderer: MakeRenderer) -> None:
    thoughtless = CHATML_TEMPLATE.replace(
        "message['content']",
        "(message['content'] if loop.last else message['content'].split('#')[-1])",
    )
    renderer = make_renderer(thoughtless)
    reply = Message(role="assistant", content="5 and 3#8")
    assert replies_of(renderer, renderer.training_example([USER, reply])) == ["5 and 3#8"]
    with pytest.raises(SpecError, match=r"must begin .* got others at message 4; use"):
        renderer.training_example([USER, reply, USER, reply])


def test_a_conversation_without_an_assistant_is_refused(chatml: Renderer) -> None:
    with pytest.raises(
        SpecError, match=r"an assistant must speak.*got 1 messages without one; add"
    ):
        chatml.training_example([USER])
