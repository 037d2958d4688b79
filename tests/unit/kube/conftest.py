"""A scripted server and the client under test on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from controller.kube.http import HttpApi
from controller.kube.session import Session
from tests.servers.certificates import write_certificate
from tests.unit.kube.scripted_api import ScriptedApi, scripted_api


@pytest.fixture
def server() -> Iterator[ScriptedApi]:
    with scripted_api() as running:
        yield running


@pytest.fixture
def api(server: ScriptedApi) -> HttpApi:
    return make_api(server)


@pytest.fixture(params=["plain", "tls"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ScriptedApi, HttpApi]]:
    """A server with its client, without and with TLS, whose sockets end in another way."""
    pair = write_certificate(tmp_path) if request.param == "tls" else None
    with scripted_api(pair) as running:
        yield running, make_api(running, authority=pair[0] if pair else None)


def make_api(server: ScriptedApi, *, authority: Path | None = None) -> HttpApi:
    def configure() -> Configuration:
        configuration = Configuration(host=server.url)
        configuration.proxy = None
        if authority is not None:
            configuration.ssl_ca_cert = str(authority)
        return configuration

    return HttpApi(Session(configure))
