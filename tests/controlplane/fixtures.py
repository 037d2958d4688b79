"""``control_plane``: a real one for the session, started when the first test asks for it."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.kube.api import Json
from controller.kube.connecting import connect
from controller.kube.faults import NotFoundError
from controller.kube.http import HttpApi
from controller.kube.resources import SERVICE_ACCOUNTS, Resource
from distillery.errors import DistilleryError
from tests.controlplane.binaries import NoControlPlaneError, find_binaries
from tests.controlplane.certificates import Authority, Pair
from tests.controlplane.processes import Program, free_ports

ADMIN, ADMIN_GROUP = "admin", "system:masters"
MANAGER = "tests"
_HOST = "127.0.0.1"
NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace")
CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
)


class ControlPlane:
    """A running control plane. ``kubeconfig`` is the administrator's."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._binaries = binaries
        self._authority = Authority(folder)
        self._port, self._manager_port, client, peer = free_ports(4)
        self._etcd_url, self._peer_url = f"http://{_HOST}:{client}", f"http://{_HOST}:{peer}"
        self.url = f"https://{_HOST}:{self._port}"
        self.kubeconfig = self.kubeconfig_for(ADMIN, groups=(ADMIN_GROUP,))
        self._server_pair = self._authority.issue_server(
            "apiserver", addresses=(_HOST, "10.96.0.1"), names=("localhost", "kubernetes")
        )
        self._etcd = Program(self._etcd_command(), log=folder / "etcd.log")
        self._api_server = Program(self._api_server_command(), log=folder / "apiserver.log")
        self._controllers = Program(self._controllers_command(), log=folder / "controllers.log")

    def start(self) -> None:
        """Starts all of it; returns when a new namespace gets its service account."""
        self._etcd.start()
        self.start_api_server()
        self._controllers.start()
        namespace = self.new_namespace()
        api = self.admin()

        def has_account() -> bool:
            try:
                api.fetch(SERVICE_ACCOUNTS, namespace=namespace, name="default")
            except DistilleryError:
                return False
            return True

        self._controllers.wait_until(has_account, what="default service account")

    def stop(self) -> None:
        """Stops all of it."""
        for program in (self._controllers, self._api_server, self._etcd):
            program.stop()

    def start_api_server(self) -> None:
        """Starts the API server and waits until it is ready."""
        self._api_server.start()
        api = self.admin()

        def is_ready() -> bool:
            try:
                return api.fetch_text("/readyz") == "ok"
            except DistilleryError:
                return False

        self._api_server.wait_until(is_ready, what="/readyz")

    def stop_api_server(self) -> None:
        """Stops the API server alone: an outage."""
        self._api_server.stop()

    def admin(self) -> HttpApi:
        """The API server, as its administrator."""
        return connect(kubeconfig=str(self.kubeconfig), context=None)[0]

    def kubeconfig_for(self, user: str, *, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of this user, by client certificate."""
        pair = self._authority.issue_client(user, groups=groups)
        path = pair.certificate.with_suffix(".kubeconfig")
        path.write_text(yaml.safe_dump(self._kubeconfig(user, pair)))
        return path

    def new_namespace(self) -> str:
        """Creates a namespace of a name of its own."""
        name = f"test-{secrets.token_hex(4)}"
        self.admin().create(NAMESPACES, {"metadata": {"name": name}})
        return name

    def apply(self, path: Path) -> None:
        """Applies each object of a YAML file server-side; a CRD is served when this returns."""
        for body in yaml.safe_load_all(path.read_text("utf-8")):
            if body:
                self.apply_object(body)

    def apply_object(self, body: Json) -> None:
        """Applies one object."""
        resource = resource_of(body)
        self.admin().apply(resource, body, manager=MANAGER)
        if resource == CRDS:
            self._api_server.wait_until(lambda: self._is_served(body), what="CRD served")

    def _is_served(self, definition: Json) -> bool:
        spec = definition["spec"]
        served = Resource(
            group=spec["group"],
            version=spec["versions"][0]["name"],
            plural=spec["names"]["plural"],
            kind=spec["names"]["kind"],
        )
        try:
            self.admin().list_page(served, limit=1)
        except NotFoundError:
            return False
        return True

    def _kubeconfig(self, user: str, pair: Pair) -> dict[str, Any]:
        cluster = {
            "server": self.url,
            "certificate-authority": str(self._authority.pair.certificate),
        }
        access = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": access}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }

    def _etcd_command(self) -> list[str]:
        return [
            str(self._binaries / "etcd"),
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={self._peer_url}",
            f"--initial-advertise-peer-urls={self._peer_url}",
            f"--initial-cluster=default={self._peer_url}",
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
        ]

    def _api_server_command(self) -> list[str]:
        server, authority = self._server_pair, self._authority.pair
        return [
            str(self._binaries / "kube-apiserver"),
            f"--etcd-servers={self._etcd_url}",
            f"--bind-address={_HOST}",
            f"--secure-port={self._port}",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--authorization-mode=Node,RBAC",
            f"--client-ca-file={authority.certificate}",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={server.key}",
            f"--service-account-signing-key-file={server.key}",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            "--profiling=false",
        ]

    def _controllers_command(self) -> list[str]:
        authority = self._authority.pair
        return [
            str(self._binaries / "kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig}",
            f"--authentication-kubeconfig={self.kubeconfig}",
            f"--authorization-kubeconfig={self.kubeconfig}",
            f"--bind-address={_HOST}",
            f"--secure-port={self._manager_port}",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._server_pair.key}",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            "--leader-elect=false",
        ]


def resource_of(body: Json) -> Resource:
    """The kind of an object from a file."""
    group, _, version = str(body["apiVersion"]).rpartition("/")
    kind = str(body["kind"])
    plural = kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"
    return Resource(group=group, version=version, plural=plural, kind=kind)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane; skips in one line where none can be had."""
    try:
        binaries = find_binaries()
    except NoControlPlaneError as error:
        pytest.skip(str(error))
    started = ControlPlane(tmp_path_factory.mktemp("control-plane"), binaries)
    try:
        started.start()
        yield started
    finally:
        started.stop()
