"""One real Ray cluster for this folder's tests."""

from collections.abc import Iterator

import pytest

from controller.launchers.local_cluster import ClusterRecord
from tests.servers.ray_cluster import running_ray


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRecord]:
    """A cluster that tests share; each uses submission ids of its own."""
    with running_ray(tmp_path_factory.mktemp("ray")) as record:
        yield record
