"""A running control plane: its life, its users, and what tests put on it.

Command lines are ``commands.py``'s, processes ``processes.py``'s; the session's own one is
``fixtures.py``'s.
"""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from controller.kube.api import Json
from controller.kube.connecting import connect
from controller.kube.http import HttpApi
from controller.kube.resources import SERVICE_ACCOUNTS, Resource
from distillery.errors import DistilleryError
from tests.controlplane.certificates import Authority, Pair
from tests.controlplane.commands import (
    HOST,
    SERVICE_ADDRESS,
    Layout,
    Ports,
    api_server_command,
    controllers_command,
    etcd_command,
)
from tests.controlplane.processes import Program, free_ports, wait_until
from tests.documents import read_documents

ADMIN, ADMIN_GROUP = "admin", "system:masters"
MANAGER = "tests"
NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace")
CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
)


class ControlPlane:
    """A control plane of its own. ``kubeconfig`` is the administrator's.

    Args:
        folder: For data, keys and logs; empty.
        binaries: Where the programs are.
    """

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._authority = Authority(folder)
        api_server, controllers, etcd, etcd_peer = free_ports(4)
        self.url = f"https://{HOST}:{api_server}"
        self.kubeconfig = self.kubeconfig_for(ADMIN, groups=(ADMIN_GROUP,))
        self._admin = connect(kubeconfig=str(self.kubeconfig), context=None)[0]
        layout = Layout(
            binaries=binaries,
            folder=folder,
            ports=Ports(
                api_server=api_server, controllers=controllers, etcd=etcd, etcd_peer=etcd_peer
            ),
            authority=self._authority.pair,
            server=self._authority.issue_server(
                "apiserver", addresses=(HOST, SERVICE_ADDRESS), names=("localhost", "kubernetes")
            ),
        )
        self._etcd = Program(etcd_command(layout), log=folder / "etcd.log")
        self._api_server = Program(api_server_command(layout), log=folder / "apiserver.log")
        self._controllers = Program(
            controllers_command(layout, kubeconfig=self.kubeconfig), log=folder / "controllers.log"
        )

    @property
    def programs(self) -> tuple[Program, ...]:
        """In the order of their start."""
        return self._etcd, self._api_server, self._controllers

    def start(self) -> None:
        """Starts all of it; returns when a new namespace gets its service account.

        Raises: ``ProgramFailedError``.
        """
        self._etcd.start()
        self.start_api_server()
        self._controllers.start()
        namespace = self.new_namespace()
        self._await(
            lambda: self._admin.fetch(SERVICE_ACCOUNTS, namespace=namespace, name="default") != {},
            what="default service account",
        )

    def stop(self) -> None:
        """Stops all of it."""
        for program in reversed(self.programs):
            program.stop()

    def start_api_server(self) -> None:
        """Starts the API server and waits until it is ready."""
        self._api_server.start()
        self._await(lambda: self._admin.fetch_text("/readyz") == "ok", what="/readyz")

    def stop_api_server(self) -> None:
        """Stops the API server alone: an outage."""
        self._api_server.stop()

    def admin(self) -> HttpApi:
        """The API server, as its administrator; one client for all."""
        return self._admin

    def kubeconfig_for(self, user: str, *, groups: Sequence[str] = ()) -> Path:
        """A new kubeconfig of this user, by client certificate."""
        pair = self._authority.issue_client(user, groups=groups)
        path = pair.certificate.with_suffix(".kubeconfig")
        path.write_text(yaml.safe_dump(self._kubeconfig(user, pair)))
        return path

    def new_namespace(self) -> str:
        """Creates a namespace of a name of its own."""
        name = f"test-{secrets.token_hex(4)}"
        self._admin.create(NAMESPACES, {"metadata": {"name": name}})
        return name

    def apply(self, path: Path) -> None:
        """Applies each object of a YAML file server-side; a CRD is served when this returns."""
        for body in read_documents(path):
            self.apply_object(body)

    def apply_object(self, body: Json) -> None:
        """Applies one object; a CRD is served when this returns."""
        resource = resource_of(body)
        self._admin.apply(resource, body, manager=MANAGER)
        if resource == CRDS:
            self._await(lambda: self._is_served(body), what="CRD served")

    def _await(self, holds: Callable[[], bool], *, what: str) -> None:
        """Waits; a request that fails counts as not yet."""

        def holds_now() -> bool:
            try:
                return holds()
            except DistilleryError:
                return False

        wait_until(holds_now, programs=self.programs, what=what)

    def _is_served(self, definition: Json) -> bool:
        """Raises ``NotFoundError`` as long as a version isn't."""
        spec = definition["spec"]
        for version in spec["versions"]:
            if version["served"]:
                served = Resource(
                    group=spec["group"],
                    version=version["name"],
                    plural=spec["names"]["plural"],
                    kind=spec["names"]["kind"],
                )
                self._admin.list_page(served, limit=1)
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


def resource_of(body: Json) -> Resource:
    """The kind of an object from a file, its plural by the rules of English."""
    group, _, version = str(body["apiVersion"]).rpartition("/")
    kind = str(body["kind"])
    word = kind.lower()
    if word.endswith("y"):
        plural = word[:-1] + "ies"
    elif word.endswith("s"):
        plural = word + "es"
    else:
        plural = word + "s"
    return Resource(group=group, version=version, plural=plural, kind=kind)
