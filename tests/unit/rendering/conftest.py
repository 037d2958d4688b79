"""Tokenizers with the chat templates the renderer must understand or refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ray_jobs.rendering import Renderer
from tests.models import make_tiny_tokenizer

LLAMA2_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ raise_exception('no system role') }}{%- endif -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('roles must alternate') }}{%- endif -%}"
    "{%- if message['role'] == 'user' -%}{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{%- else -%}{{ ' ' + message['content'] + ' ' + eos_token }}{%- endif -%}"
    "{%- endfor -%}"
)
"""Llama 2's form: no system role, a begin token before every user turn."""

MakeRenderer = Callable[..., Renderer]


@pytest.fixture
def make_renderer(tmp_path: Path) -> MakeRenderer:
    def make(template: str | None = None, *, date: str | None = None, **options: Any) -> Renderer:
        if template is not None:
            options["chat_template"] = template
        return Renderer.from_folder(make_tiny_tokenizer(tmp_path / "model", **options), date=date)

    return make


@pytest.fixture(scope="session")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer.from_folder(make_tiny_tokenizer(tmp_path_factory.mktemp("chatml")))


@pytest.fixture(scope="session")
def llama2(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = make_tiny_tokenizer(
        tmp_path_factory.mktemp("llama2"),
        chat_template=LLAMA2_TEMPLATE,
        eos_token="</s>",
        bos_token="<s>",
    )
    return Renderer.from_folder(folder)
