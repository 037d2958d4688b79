"""A tiny teacher."""

from pathlib import Path

import pytest

from tests.models import make_tiny_llama


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama: its answers are nonsense, hardly ever end by themselves, and are greedy."""
    return make_tiny_llama(tmp_path_factory.mktemp("teacher") / "model")
