"""A tiny student."""

from pathlib import Path

import pytest

from tests.models import make_tiny_llama


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("student"))
