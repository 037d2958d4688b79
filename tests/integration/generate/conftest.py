"""A tiny teacher, and a Ray cluster of this test session's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import make_tiny_llama


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama: its answers are nonsense, hardly ever end by themselves, and are greedy."""
    return make_tiny_llama(tmp_path_factory.mktemp("teacher") / "model")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A local Ray that the stage, run in this process, joins."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            # Engines' processes import the tests' own engine by its name.
            runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[3])}},
        )
        yield
        ray.shutdown()
