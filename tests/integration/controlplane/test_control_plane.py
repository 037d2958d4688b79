"""The control plane that other tests stand on does what a cluster does; and our client on it."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.kube.connecting import connect
from controller.kube.faults import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)
from controller.kube.http import HttpApi
from controller.kube.resources import (
    CONFIG_MAPS,
    PODS,
    RAY_JOBS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from distillery.errors import DistilleryError
from tests.controlplane.binaries import ASSETS_VARIABLE, KUBERNETES_VERSION
from tests.controlplane.certificates import Authority
from tests.controlplane.plane import NAMESPACES, ControlPlane
from tests.unit.kuberay.kuberay_schemas import crd_folder

pytestmark = pytest.mark.controlplane

DEADLINE_S = 120.0
RBAC_GROUP = "rbac.authorization.k8s.io"
TOKENS = Resource(
    group="", version="v1", plural="serviceaccounts/default/token", kind="TokenRequest"
)
"""Tokens of a namespace's default account."""


@pytest.fixture
def api(control_plane: ControlPlane) -> HttpApi:
    return control_plane.admin()


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return control_plane.new_namespace()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "the cluster didn't do it in time"
        pause.wait(0.05)


def is_there(api: HttpApi, resource: Resource, *, namespace: str, name: str) -> bool:
    try:
        api.fetch(resource, namespace=namespace, name=name)
    except NotFoundError:
        return False
    return True


def create_map(api: HttpApi, namespace: str, name: str, *, owner: Any = None) -> Any:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
        ]
    return api.create(CONFIG_MAPS, {"metadata": metadata})


def delete_map(api: HttpApi, found: Any) -> None:
    meta = found["metadata"]
    api.delete(CONFIG_MAPS, namespace=meta["namespace"], name=meta["name"], uid=meta["uid"])


def test_it_is_ready_and_of_the_version_wanted(api: HttpApi) -> None:
    assert api.fetch_text("/readyz") == "ok"
    version = json.loads(api.fetch_text("/version"))
    if not os.environ.get(ASSETS_VARIABLE):
        assert version["gitVersion"] == KUBERNETES_VERSION
        assert f"v{version['major']}.{version['minor']}" == KUBERNETES_VERSION.rpartition(".")[0]


def test_a_new_namespace_gets_its_service_account(api: HttpApi, namespace: str) -> None:
    wait_until(lambda: is_there(api, SERVICE_ACCOUNTS, namespace=namespace, name="default"))


def test_a_user_has_the_rights_of_its_roles_alone(
    control_plane: ControlPlane, api: HttpApi, namespace: str
) -> None:
    create_map(api, namespace, "a")
    for user, groups in (("alice", ()), ("bob", ("readers",))):
        kubeconfig = control_plane.kubeconfig_for(user, groups=groups)
        theirs, _ = connect(kubeconfig=str(kubeconfig), context=None)
        with pytest.raises(
            ForbiddenError, match=f'got 403 \'configmaps "a" is forbidden: User "{user}"'
        ):
            theirs.fetch(CONFIG_MAPS, namespace=namespace, name="a")
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    metadata = {"name": "readers", "namespace": namespace}
    api.create(ROLES, {"metadata": metadata, "rules": [rule]})
    api.create(
        ROLE_BINDINGS,
        {
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": "readers"},
            "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": "readers"}],
        },
    )

    def may_read() -> bool:
        try:
            return bool(theirs.fetch(CONFIG_MAPS, namespace=namespace, name="a"))
        except ForbiddenError:
            return False

    wait_until(may_read)
    with pytest.raises(ForbiddenError, match=r"; let a role allow it$"):
        theirs.list_page(PODS, namespace=namespace)


def test_a_user_of_another_authority_is_unauthorized(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).issue_client("admin", groups=("system:masters",))
    known = control_plane.kubeconfig_for("admin", groups=("system:masters",))
    kubeconfig = tmp_path / "config"
    text = known.read_text().replace(str(known.with_suffix(".crt")), str(stranger.certificate))
    kubeconfig.write_text(text.replace(str(known.with_suffix(".key")), str(stranger.key)))
    api, _ = connect(kubeconfig=str(kubeconfig), context=None)
    with pytest.raises(UnreachableError, match="got 401 Unauthorized; tried again"):
        api.list_page(PODS)


def test_a_pods_token_is_taken_and_read_anew_when_it_is_refused(
    control_plane: ControlPlane,
    api: HttpApi,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_until(lambda: is_there(api, SERVICE_ACCOUNTS, namespace=namespace, name="default"))
    request = {"apiVersion": "authentication.k8s.io/v1", "metadata": {"namespace": namespace}}
    token = api.create(TOKENS, {**request, "spec": {"expirationSeconds": 600}})["status"]["token"]
    (tmp_path / "token").write_text("a token that is over")
    (tmp_path / "ca.crt").write_bytes((control_plane.kubeconfig.parent / "ca.crt").read_bytes())
    (tmp_path / "namespace").write_text(namespace)
    host, _, port = control_plane.url.removeprefix("https://").partition(":")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    theirs, own_namespace = connect(kubeconfig=None, context=None, account=tmp_path)
    assert own_namespace == namespace
    (tmp_path / "token").write_text(token)
    with pytest.raises(UnreachableError, match="got 401 Unauthorized; tried again"):
        theirs.list_page(PODS, namespace=namespace)
    user = f'User "system:serviceaccount:{namespace}:default" cannot list'
    with pytest.raises(ForbiddenError, match=f"pods is forbidden: {user}"):
        theirs.list_page(PODS, namespace=namespace)


def test_what_an_object_owned_goes_with_it(api: HttpApi, namespace: str) -> None:
    owner = create_map(api, namespace, "owner")
    create_map(api, namespace, "owned", owner=owner)
    create_map(api, namespace, "other")
    delete_map(api, owner)
    wait_until(lambda: not is_there(api, CONFIG_MAPS, namespace=namespace, name="owned"))
    assert is_there(api, CONFIG_MAPS, namespace=namespace, name="other")


def test_a_deleted_namespace_goes_with_all_that_is_in_it(api: HttpApi, namespace: str) -> None:
    create_map(api, namespace, "a")
    uid = api.fetch(NAMESPACES, namespace="", name=namespace)["metadata"]["uid"]
    api.delete(NAMESPACES, namespace="", name=namespace, uid=uid)
    wait_until(lambda: not is_there(api, NAMESPACES, namespace="", name=namespace))
    assert api.list_page(CONFIG_MAPS, namespace=namespace).items == []


def test_an_outage_is_told_and_survived(
    control_plane: ControlPlane, api: HttpApi, namespace: str
) -> None:
    owner = create_map(api, namespace, "owner")
    create_map(api, namespace, "owned", owner=owner)
    control_plane.stop_api_server()
    try:
        with pytest.raises(UnreachableError, match="no answer from the API server, got "):
            api.fetch(CONFIG_MAPS, namespace=namespace, name="owner")
    finally:
        control_plane.start_api_server()
    assert api.fetch(CONFIG_MAPS, namespace=namespace, name="owner") == owner
    delete_map(api, owner)
    wait_until(lambda: not is_there(api, CONFIG_MAPS, namespace=namespace, name="owned"))


def test_kuberays_definitions_are_applied_and_hold(
    control_plane: ControlPlane, api: HttpApi, namespace: str
) -> None:
    folder = crd_folder()
    for name in ("ray.io_rayclusters.yaml", "ray.io_rayjobs.yaml"):
        control_plane.apply(folder / name)
    metadata = {"name": "a", "namespace": namespace}
    with pytest.raises(
        InvalidError, match=r"got 422 'RayJob.ray.io \"a\" is invalid: .*entrypoint"
    ):
        api.create(RAY_JOBS, {"metadata": metadata, "spec": {"entrypoint": 5}})
    body = {"metadata": metadata, "spec": {"entrypoint": "true", "suspend": True}}
    made = api.create(RAY_JOBS, body)
    assert made["spec"]["entrypoint"] == "true"
    status = {"status": {"jobDeploymentStatus": "Suspended"}}
    merged = api.merge(RAY_JOBS, namespace=namespace, name="a", patch=status, subresource="status")
    assert merged["status"]["jobDeploymentStatus"] == "Suspended"


def test_a_watch_on_the_real_server_is_closed_by_another_thread(
    api: HttpApi, namespace: str
) -> None:
    version = api.list_page(CONFIG_MAPS, namespace=namespace).resource_version
    context = api.watch(
        CONFIG_MAPS,
        namespace=namespace,
        resource_version=version,
        timeout_s=DEADLINE_S,
        silence_s=DEADLINE_S,
    )
    events = context.__enter__()
    create_map(api, namespace, "a")
    while next(events).object["metadata"]["name"] != "a":
        pass
    ended = threading.Event()

    def read() -> None:
        try:
            for _ in events:
                pass
        except DistilleryError:
            return
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    context.__exit__(None, None, None)
    reader.join(DEADLINE_S)
    assert ended.is_set()
