"""An operator in the test's hands: one clock, the API server in memory, KubeRay played by hand."""

import pytest

from tests.doubles.api_server import ApiServer
from tests.doubles.clock import VirtualClock
from tests.hand_kuberay import HandKubeRay
from tests.operator_world import OperatorWorld


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(start=1_800_000_000.0)


@pytest.fixture
def server(clock: VirtualClock) -> ApiServer:
    return ApiServer(now_s=clock.now, clock=clock)


@pytest.fixture
def world(server: ApiServer, clock: VirtualClock) -> OperatorWorld:
    return OperatorWorld(server, clock)


@pytest.fixture
def kuberay(server: ApiServer) -> HandKubeRay:
    return HandKubeRay(server)
