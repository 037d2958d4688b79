"""A real local Ray cluster for tests, one for a whole session: starting it takes 8 s."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.launchers.local_cluster import ClusterRecord, LocalCluster


@contextmanager
def running_ray(folder: Path) -> Iterator[ClusterRecord]:
    """A cluster whose record and token lie in ``folder``; stopped at the end of the block."""
    cluster = LocalCluster(folder, environ=os.environ)
    record = cluster.start()
    try:
        yield record
    finally:
        cluster.stop(record)
