"""What a conversation becomes as a prompt."""

import time
from collections.abc import Callable

import pytest

from distillery.errors import SpecError
from ray_jobs.records import Message
from ray_jobs.rendering import Renderer, merge_system

pytestmark = pytest.mark.heavy
MakeRenderer = Callable[..., Renderer]
SYSTEM = Message(role="system", content="Answer with yes or no.")
USER = Message(role="user", content="Are 5 coins more than 3?")
REPLY = Message(role="assistant", content="yes")


def shown(renderer: Renderer, ids: list[int]) -> str:
    """The text of the ids, special tokens as they are written."""
    text: str = renderer._tokenizer.decode(ids)
    return text


def test_a_prompt_is_the_template_s_text_and_lets_the_assistant_speak(chatml: Renderer) -> None:
    assert shown(chatml, chatml.prompt_ids([SYSTEM, USER])) == (
        "<|im_start|>system\nAnswer with yes or no.<|im_end|>\n"
        "<|im_start|>user\nAre 5 coins more than 3?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_many_prompts_are_the_prompts_one_by_one(chatml: Renderer) -> None:
    conversations = [[USER], [SYSTEM, USER], [SYSTEM, USER, REPLY, USER]]
    want = [chatml.prompt_ids(turns) for turns in conversations]
    assert chatml.prompt_ids_many(conversations) == want
    assert chatml.prompt_ids_many([]) == []


def test_a_begin_token_stands_once_although_the_tokenizer_adds_one_too(llama2: Renderer) -> None:
    begin = llama2._tokenizer.bos_token_id
    assert llama2._tokenizer("x")["input_ids"][0] == begin
    ids = llama2.prompt_ids([USER])
    assert ids[0] == begin
    assert ids.count(begin) == 1


def test_a_model_without_system_role_reads_it_before_the_first_user_message(
    llama2: Renderer,
) -> None:
    assert not llama2.has_system_role
    assert shown(llama2, llama2.prompt_ids([SYSTEM, USER, REPLY, USER])) == (
        "<s>[INST] Answer with yes or no.\n\nAre 5 coins more than 3? [/INST]"
        " yes </s><s>[INST] Are 5 coins more than 3? [/INST]"
    )


def test_a_model_with_system_role_keeps_it(chatml: Renderer) -> None:
    assert chatml.has_system_role


def test_a_system_message_that_wanders_to_the_last_user_message_is_merged_into_the_first(
    make_renderer: MakeRenderer,
) -> None:
    wandering = (
        "{%- for message in messages -%}{%- if message['role'] == 'user' -%}<|im_start|>"
        "{%- if loop.last and messages[0]['role'] == 'system' -%}{{ messages[0]['content'] }}"
        "{%- endif -%}{{ message['content'] }}<|im_end|>"
        "{%- elif message['role'] == 'assistant' -%}{{ message['content'] + '<|im_end|>' }}"
        "{%- endif -%}{%- endfor -%}"
    )
    renderer = make_renderer(wandering)
    assert not renderer.has_system_role
    first = renderer.prompt_ids([SYSTEM, USER])
    assert renderer.prompt_ids([SYSTEM, USER, REPLY, USER])[: len(first)] == first


def test_a_template_that_drops_the_system_message_has_no_system_role(
    make_renderer: MakeRenderer,
) -> None:
    dropping = (
        "{%- for message in messages if message['role'] != 'system' -%}"
        "{{ '<|im_start|>' + message['content'] + '<|im_end|>' }}{%- endfor -%}"
    )
    renderer = make_renderer(dropping)
    assert not renderer.has_system_role
    assert SYSTEM.content in renderer.decode(renderer.prompt_ids([SYSTEM, USER]))


def test_merging_needs_a_user_after_the_system_message() -> None:
    assert merge_system([USER, REPLY]) == [USER, REPLY]
    with pytest.raises(SpecError, match=r"messages\[1\].role: a user must .* got assistant; add"):
        merge_system([SYSTEM, REPLY])
    with pytest.raises(SpecError, match=r"messages\[1\].role: a user must .* got nothing; add"):
        merge_system([SYSTEM])


def test_roles_the_template_refuses_are_named(llama2: Renderer) -> None:
    with pytest.raises(
        SpecError, match="chat template refuses these roles, got user,user; let"
    ) as e:
        llama2.prompt_ids([USER, USER])
    assert e.value.reason == "TemplateRefused"


def test_decoding_leaves_special_tokens_out(chatml: Renderer) -> None:
    ids = chatml.training_example([USER, REPLY]).ids
    assert chatml.decode(ids) == "user\nAre 5 coins more than 3?\nassistant\nyes"


def test_six_thousand_short_prompts_take_well_under_a_second(chatml: Renderer) -> None:
    conversations = [
        [SYSTEM, Message(role="user", content=f"Tom has {i} coins. How many in all?")]
        for i in range(6_000)
    ]
    start = time.process_time()
    chatml.prompt_ids_many(conversations)
    assert time.process_time() - start < 2.0  # of CPU, on a busy machine; 0.4 s alone
