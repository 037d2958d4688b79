"""What tests in several folders need."""

import os
from pathlib import Path

import pytest

pytest_plugins = ("tests.controlplane.fixtures",)

VARIABLE = "DISTILLERY_TEST_DATA"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests take longest first, so that two processes end together."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the public data sets, where there is one."""
    folder = os.environ.get(VARIABLE, "")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"{VARIABLE} names no folder with the public data sets, got {folder!r}")
    return Path(folder)
