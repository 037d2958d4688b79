"""``control_plane``: a real one for the session, started when the first test asks for it.

Each process of pytest-xdist starts its own. A failed test shows the ends of its logs.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.controlplane.binaries import NoControlPlaneError, find_binaries
from tests.controlplane.plane import ControlPlane
from tests.controlplane.processes import ProgramFailedError

__all__ = ["ControlPlane", "control_plane", "pytest_runtest_makereport"]

_RUNNING = pytest.StashKey[ControlPlane]()
_TRIES = 3
_CLASH = "address already in use"


@pytest.fixture(scope="session")
def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A running control plane; skips in one line where none can be had."""
    try:
        binaries = find_binaries()
    except NoControlPlaneError as error:
        pytest.skip(str(error))
    started = _start(request.config, lambda: tmp_path_factory.mktemp("control-plane"), binaries)
    yield started
    started.stop()


def _start(config: pytest.Config, new_folder: Callable[[], Path], binaries: Path) -> ControlPlane:
    for left in reversed(range(_TRIES)):
        starting = ControlPlane(new_folder(), binaries)
        config.stash[_RUNNING] = starting
        try:
            starting.start()
        except BaseException as error:
            starting.stop()
            # Between the choice of a free port and the program's start another may take it.
            if not (left and isinstance(error, ProgramFailedError) and _CLASH in str(error)):
                raise
        else:
            return starting
    raise AssertionError("not reached")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the ends of the control plane's logs to the report of a test that failed on it."""
    report = yield
    running = item.config.stash.get(_RUNNING, None)
    if report.failed and running and item.get_closest_marker("controlplane"):
        report.sections += [(f"log of {each.name}", each.log_tail()) for each in running.programs]
    return report
