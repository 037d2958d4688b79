"""Where the client connects, and with which right: service account, kubeconfig, rotation."""

import datetime
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from controller.kube.connecting import connect
from controller.kube.faults import UnreachableError
from controller.kube.http import HttpApi
from controller.kube.resources import PODS
from distillery.errors import SpecError, word
from tests.servers.certificates import write_certificate
from tests.unit.kube.scripted_api import Asked, ScriptedApi, Wire, make_status, scripted_api

POD = {"kind": "Pod"}
OLD, NEW = "old-token", "new-token"


class Pods:
    """Answers with a pod to those who bring the one token that holds."""

    def __init__(self, *tokens: str) -> None:
        self.valid = set(tokens)
        self.shown: list[str] = []

    def __call__(self, asked: Asked, wire: Wire) -> None:
        self.shown.append(asked.headers.get("Authorization", ""))
        if self.shown[-1].lower() in {f"bearer {token}" for token in self.valid}:
            wire.send(200, POD)
        else:
            wire.send(401, make_status(401, "Unauthorized", "expired"))


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


def fetch(api: HttpApi) -> Any:
    return api.fetch(PODS, namespace="ns", name="a")


def write_kubeconfig(path: Path, url: str, *, user: dict[str, Any], **cluster: Any) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "plain", "context": {"cluster": "c", "user": "u"}},
            {"name": "teams", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
        ],
        "current-context": "plain",
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def write_account(folder: Path, *, authority: Path, token: str, namespace: str = "") -> Path:
    folder.mkdir()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(authority.read_bytes())
    if namespace:
        (folder / "namespace").write_text(namespace)
    return folder


def enter_cluster(monkeypatch: pytest.MonkeyPatch, server: ScriptedApi) -> None:
    host, _, port = server.url.removeprefix("https://").rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)


def test_a_kubeconfig_names_server_token_and_namespace(server: ScriptedApi, tmp_path: Path) -> None:
    pods = Pods(OLD)
    server.plays.append(pods)
    path = write_kubeconfig(tmp_path / "config", server.url + "/", user={"token": OLD})
    api, namespace = connect(kubeconfig=path, context=None)
    assert (fetch(api), namespace, pods.shown) == (POD, "default", [f"Bearer {OLD}"])
    assert connect(kubeconfig=path, context="teams")[1] == "team"


def test_a_server_may_lie_below_a_path(server: ScriptedApi, tmp_path: Path) -> None:
    server.plays.append(Pods(OLD))
    url = f"{server.url}/k8s/clusters/c-1"
    path = write_kubeconfig(tmp_path / "config", url, user={"token": OLD})
    assert fetch(connect(kubeconfig=path, context=None)[0]) == POD
    assert server.asked[0].path == "/k8s/clusters/c-1/api/v1/namespaces/ns/pods/a"


def test_the_environments_kubeconfig_goes_before_the_pods_account(
    server: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = write_account(tmp_path / "account", authority=Path(__file__), token=NEW)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    pods = Pods(OLD)
    server.plays.append(pods)
    path = write_kubeconfig(tmp_path / "config", server.url, user={"token": OLD})
    monkeypatch.setenv("KUBECONFIG", path)
    api, namespace = connect(kubeconfig=None, context="teams", account=account)
    assert (fetch(api), namespace, pods.shown) == (POD, "team", [f"Bearer {OLD}"])
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(SpecError, match=r"absent: is no usable kubeconfig, got ConfigException; "):
        connect(kubeconfig=None, context=None, account=account)


@pytest.mark.parametrize(
    ("text", "context", "want"),
    [
        (None, None, "ConfigException"),
        ("{broken", None, "ParserError"),
        ("clusters: []", None, "ConfigException"),
        ("whole", "absent", "ConfigException"),
    ],
    ids=["no file", "no YAML", "no kubeconfig", "no such context"],
)
def test_a_kubeconfig_that_says_nothing_useful_is_refused(
    tmp_path: Path, text: str | None, context: str | None, want: str
) -> None:
    path = tmp_path / "config"
    if text == "whole":
        write_kubeconfig(path, "http://127.0.0.1:1", user={})
    elif text is not None:
        path.write_text(text)
    with pytest.raises(SpecError) as caught:
        connect(kubeconfig=str(path), context=context)
    assert caught.value.message == word(
        str(path),
        f"is no usable kubeconfig, got {want}; name one with --kubeconfig or KUBECONFIG, and see "
        "that its context exists",
    )


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environments_proxies_are_left_aside(
    server: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.plays.append(Pods(OLD))
    path = write_kubeconfig(tmp_path / "config", server.url, user={"token": OLD})
    assert fetch(connect(kubeconfig=path, context=None)[0]) == POD


def test_a_kubeconfigs_proxy_is_used_whatever_the_environment_says(
    server: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    server.plays.append(Pods(OLD))
    url = "http://api.invalid:8080"
    config = {"user": {"token": OLD}, "proxy-url": server.url}
    path = write_kubeconfig(tmp_path / "config", url, **config)
    assert fetch(connect(kubeconfig=path, context=None)[0]) == POD
    assert server.asked[0].headers["Host"] == "api.invalid:8080"


def test_a_kubeconfigs_token_file_is_read_again_when_it_is_refused(
    server: ScriptedApi, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(OLD + "\n")
    pods = Pods(OLD)
    server.plays.append(pods)
    path = write_kubeconfig(tmp_path / "config", server.url, user={"tokenFile": str(token)})
    api, _ = connect(kubeconfig=path, context=None)
    assert fetch(api) == POD
    token.write_text(NEW + "\n")
    pods.valid = {NEW}
    with pytest.raises(UnreachableError, match="the API server fails, got 401 expired"):
        fetch(api)
    assert fetch(api) == POD
    assert pods.shown == [f"Bearer {OLD}", f"Bearer {OLD}", f"Bearer {NEW}"]


def test_all_views_of_a_server_share_the_new_token(server: ScriptedApi, tmp_path: Path) -> None:
    pods = Pods(OLD)
    server.plays.append(pods)
    path = tmp_path / "config"
    api, _ = connect(
        kubeconfig=write_kubeconfig(path, server.url, user={"token": OLD}), context=None
    )
    view = api.with_timeout(5.0)
    pods.valid = {NEW}
    write_kubeconfig(path, server.url, user={"token": NEW})
    with pytest.raises(UnreachableError, match="got 401"):
        api.watch(PODS, resource_version="1", timeout_s=1.0, silence_s=1.0)
    assert fetch(view) == POD


def test_credentials_that_cannot_be_read_again_are_told_and_tried_later(
    server: ScriptedApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pods = Pods(NEW)
    server.plays.append(pods)
    path = tmp_path / "config"
    api, _ = connect(
        kubeconfig=write_kubeconfig(path, server.url, user={"token": OLD}), context=None
    )
    path.unlink()
    with caplog.at_level(logging.WARNING), pytest.raises(UnreachableError, match="got 401"):
        fetch(api)
    (told,) = [line for line in caplog.messages if "the credentials can't be read again" in line]
    assert re.search(r"error=.*config: is no usable kubeconfig, got ConfigException; ", told)
    assert OLD not in told
    write_kubeconfig(path, server.url, user={"token": NEW})
    with pytest.raises(UnreachableError, match="got 401"):
        fetch(api)
    assert fetch(api) == POD


def test_a_pod_speaks_with_its_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = write_certificate(tmp_path)
    account = write_account(
        tmp_path / "account", authority=pair[0], token=OLD + "\n", namespace="own\n"
    )
    pods = Pods(OLD)
    with scripted_api(pair) as server:
        server.plays.append(pods)
        enter_cluster(monkeypatch, server)
        api, namespace = connect(kubeconfig=None, context=None, account=account)
        assert (fetch(api), namespace) == (POD, "own")
        (account / "namespace").unlink()
        assert connect(kubeconfig=None, context=None, account=account)[1] == "default"
    assert pods.shown == [f"bearer {OLD}"]


def test_a_rotated_token_is_read_again_when_the_old_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = write_certificate(tmp_path)
    account = write_account(tmp_path / "account", authority=pair[0], token=OLD)
    pods = Pods(OLD)
    with scripted_api(pair) as server:
        server.plays.append(pods)
        enter_cluster(monkeypatch, server)
        api, _ = connect(kubeconfig=None, context=None, account=account)
        assert fetch(api) == POD
        (account / "token").write_text(NEW)
        pods.valid = {NEW}
        with pytest.raises(UnreachableError, match="got 401 expired; tried again"):
            fetch(api)
        assert fetch(api) == POD


def test_a_rotated_token_is_read_again_within_a_minute_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime.datetime):
        ahead = datetime.timedelta(0)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return super().now(tz) + cls.ahead

    module = SimpleNamespace(datetime=Clock, timedelta=datetime.timedelta)
    monkeypatch.setattr(incluster_config, "datetime", module)
    pair = write_certificate(tmp_path)
    account = write_account(tmp_path / "account", authority=pair[0], token=OLD)
    pods = Pods(OLD, NEW)
    with scripted_api(pair) as server:
        server.plays.append(pods)
        enter_cluster(monkeypatch, server)
        api, _ = connect(kubeconfig=None, context=None, account=account)
        fetch(api)
        (account / "token").write_text(NEW)
        fetch(api)
        Clock.ahead = datetime.timedelta(seconds=61)
        fetch(api)
    assert pods.shown == [f"bearer {OLD}", f"bearer {OLD}", f"bearer {NEW}"]


def test_an_empty_token_file_in_the_middle_of_a_rotation_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = write_certificate(tmp_path)
    account = write_account(tmp_path / "account", authority=pair[0], token=OLD)
    pods = Pods(NEW)
    with scripted_api(pair) as server:
        server.plays.append(pods)
        enter_cluster(monkeypatch, server)
        api, _ = connect(kubeconfig=None, context=None, account=account)
        (account / "token").write_text("")
        with pytest.raises(UnreachableError, match="got 401 expired; tried again"):
            fetch(api)
        (account / "token").write_text(NEW)
        with pytest.raises(UnreachableError, match="got 401 expired; tried again"):
            fetch(api)
        assert fetch(api) == POD


def test_a_service_account_without_its_authority_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = write_account(tmp_path / "account", authority=Path(__file__), token=OLD)
    (account / "ca.crt").unlink()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    want = (
        f"{account}: is no usable service account, got ConfigException; mount one into the pod, "
        "or name a kubeconfig"
    )
    with pytest.raises(SpecError, match=f"^{re.escape(want)}$"):
        connect(kubeconfig=None, context=None, account=account)
