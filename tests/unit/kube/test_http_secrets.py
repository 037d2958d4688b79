"""No message and no log line has a secret in it, whatever goes wrong."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.kube.connecting import connect
from controller.kube.resources import PODS
from distillery.errors import DistilleryError
from tests.unit.kube.scripted_api import Asked, ScriptedApi, Wire, make_status

SECRET = "s3cr3t"
TOKEN = {"token": f"token-{SECRET}"}
PASSWORD = {"username": "u", "password": f"password-{SECRET}"}


def write_kubeconfig(path: Path, url: str, *, user: dict[str, Any], **cluster: Any) -> str:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def refuses(_: Asked, wire: Wire) -> None:
    wire.send(401, make_status(401, "Unauthorized", "Unauthorized"))


def fails(_: Asked, wire: Wire) -> None:
    wire.send(500, make_status(500, "InternalError", "no"))


def resets(_: Asked, wire: Wire) -> None:
    wire.cut(reset=True)


def speaks_nonsense(_: Asked, wire: Wire) -> None:
    wire.send(200, b"{")


@pytest.mark.parametrize("user", [TOKEN, PASSWORD], ids=["token", "password"])
@pytest.mark.parametrize("play", [refuses, fails, resets, speaks_nonsense])
def test_credentials_are_sent_and_never_told(
    server: ScriptedApi,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    user: dict[str, str],
    play: Callable[[Asked, Wire], None],
) -> None:
    caplog.set_level(logging.DEBUG)
    server.plays.append(play)
    path = write_kubeconfig(tmp_path / "config", server.url, user=user)
    api, _ = connect(kubeconfig=path, context=None)
    with pytest.raises(DistilleryError) as caught:
        api.fetch(PODS, namespace="ns", name="a")
    kind = server.asked[0].headers["Authorization"].partition(" ")[0]
    assert kind == ("Bearer" if user is TOKEN else "Basic")
    assert SECRET not in caught.value.message + caplog.text


def test_a_proxys_password_is_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = f"http://u:{SECRET}@127.0.0.1:1"
    config = {"user": TOKEN, "proxy-url": proxy}
    path = write_kubeconfig(tmp_path / "config", "http://api.invalid", **config)
    api, _ = connect(kubeconfig=path, context=None)
    with pytest.raises(DistilleryError, match="no answer from the API server, got ") as caught:
        api.fetch(PODS, namespace="ns", name="a")
    assert SECRET not in caught.value.message + caplog.text


def test_a_broken_kubeconfigs_text_is_never_told(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f"users: [{{token: {SECRET}")
    with pytest.raises(
        DistilleryError, match="is no usable kubeconfig, got ParserError; "
    ) as caught:
        connect(kubeconfig=str(path), context=None)
    assert SECRET not in caught.value.message
