"""Which tokenizers and templates the renderer takes, and what their hash stands for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.errors import SpecError
from ray_jobs.records import Message
from ray_jobs.rendering import Renderer
from tests.models import CHATML_TEMPLATE, make_tiny_tokenizer

pytestmark = pytest.mark.heavy
MakeRenderer = Callable[..., Renderer]
DATE_TEMPLATE = "{{ 'Today: ' + strftime_now('%d %b %Y') + '\\n' }}" + CHATML_TEMPLATE
USER = Message(role="user", content="hello")


def test_a_template_that_prints_today_s_date_is_refused_unless_a_date_is_pinned(
    make_renderer: MakeRenderer,
) -> None:
    with pytest.raises(SpecError, match=r"prints today's date.*; set .*date to YYYY-MM-DD") as e:
        make_renderer(DATE_TEMPLATE)
    assert e.value.reason == "TemplateDate"


def test_a_pinned_date_is_what_the_template_prints(make_renderer: MakeRenderer) -> None:
    renderer = make_renderer(DATE_TEMPLATE, date="2024-07-26")
    text = renderer.decode(renderer.prompt_ids([USER]))
    assert text.startswith("Today: 26 Jul 2024\n")


def test_a_pinned_date_must_be_a_day(make_renderer: MakeRenderer) -> None:
    with pytest.raises(SpecError, match=r"date: must be a day as YYYY-MM-DD, got 'July'; for"):
        make_renderer(DATE_TEMPLATE, date="July")


def test_no_chat_template_is_refused_with_a_way_out(tmp_path: Path) -> None:
    folder = make_tiny_tokenizer(tmp_path, chat_template=None)
    with pytest.raises(SpecError, match=r"no chat template.*; use an instruct model or add") as e:
        Renderer.from_folder(folder)
    assert e.value.reason == "TemplateMissing"


def test_a_template_that_ends_no_turn_is_refused(make_renderer: MakeRenderer) -> None:
    endless = "{%- for message in messages -%}{{ message['content'] + '\\n' }}{%- endfor -%}"
    with pytest.raises(SpecError, match=r"must end an assistant's turn.*got '\\n'; add") as e:
        make_renderer(endless)
    assert e.value.reason == "TemplateNoEndOfTurn"


def test_a_missing_folder_is_no_readable_model(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must be a directory, got none there; check") as e:
        Renderer.from_folder(tmp_path / "nowhere")
    assert e.value.reason == "ModelUnreadable"


@pytest.mark.parametrize("content", [None, "{", '{"model": 3}'], ids=["none", "cut", "wrong"])
def test_a_folder_without_a_readable_tokenizer_is_no_readable_model(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
        (tmp_path / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "PreTrainedTokenizerFast"}'
        )
    with pytest.raises(SpecError, match=r"no readable tokenizer, got .*; save one there") as e:
        Renderer.from_folder(tmp_path)
    assert e.value.reason == "ModelUnreadable"


@pytest.mark.parametrize("eos", ["<|im_end|>", "<|endoftext|>"])
def test_an_answer_ends_at_the_template_s_end_of_turn_and_at_the_tokenizer_s_end(
    make_renderer: MakeRenderer, eos: str
) -> None:
    renderer = make_renderer(eos_token=eos)
    tokens = renderer._tokenizer.convert_ids_to_tokens(list(renderer.stop_token_ids))
    assert set(tokens) == {"<|im_end|>", eos}
    assert renderer._tokenizer.convert_ids_to_tokens(renderer.end_of_turn_id) == "<|im_end|>"


def test_the_hash_stands_for_the_form_and_nothing_else(
    make_renderer: MakeRenderer, chatml: Renderer
) -> None:
    assert make_renderer().template_hash == chatml.template_hash
    others = [
        make_renderer(CHATML_TEMPLATE + " "),
        make_renderer(eos_token="<|endoftext|>"),
        make_renderer(DATE_TEMPLATE, date="2024-07-26"),
        make_renderer(DATE_TEMPLATE, date="2024-07-27"),
    ]
    hashes = {chatml.template_hash, *(each.template_hash for each in others)}
    assert len(hashes) == 5
    assert all(len(each) == 64 for each in hashes)


def test_a_date_that_the_template_does_not_print_changes_nothing(
    make_renderer: MakeRenderer, chatml: Renderer
) -> None:
    assert make_renderer(date="2024-07-26").template_hash == chatml.template_hash


def test_a_saved_tokenizer_renders_as_before(tmp_path: Path, llama2: Renderer) -> None:
    llama2.save_tokenizer(tmp_path)
    again = Renderer.from_folder(tmp_path)
    assert again.template_hash == llama2.template_hash
    assert again.prompt_ids([USER]) == llama2.prompt_ids([USER])
