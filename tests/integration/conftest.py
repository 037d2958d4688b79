"""One local Ray for all stages that a test session runs in its own process."""

from collections.abc import Iterator

import pytest

from tests.processes import REPOSITORY


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A Ray of this session's own, which stages join; its processes import the tests' doubles."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        # Nobody takes this machine away; the watcher's process imports torch for each training.
        patch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": str(REPOSITORY)}},
        )
        yield
        ray.shutdown()
