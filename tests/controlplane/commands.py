"""The command lines of the programs, for loopback addresses and a temporary folder."""

from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.certificates import Pair

HOST = "127.0.0.1"
SERVICE_ADDRESS = "10.96.0.1"
_SERVICE_RANGE = "10.96.0.0/24"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where each program listens."""

    api_server: int
    controllers: int
    etcd: int
    etcd_peer: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Programs, ports, keys and folder of one control plane."""

    binaries: Path
    folder: Path
    ports: Ports
    authority: Pair
    server: Pair

    @property
    def etcd_url(self) -> str:
        """Etcd's for clients."""
        return f"http://{HOST}:{self.ports.etcd}"


def etcd_command(layout: Layout) -> list[str]:
    """One etcd that doesn't wait for the disk: its data last as long as the session."""
    peer_url = f"http://{HOST}:{layout.ports.etcd_peer}"
    return [
        str(layout.binaries / "etcd"),
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]


def api_server_command(layout: Layout) -> list[str]:
    """The API server: users by client certificate, rights by RBAC. No endpoints are reconciled,
    for it refuses a loopback address there."""
    server, authority = layout.server, layout.authority
    return [
        str(layout.binaries / "kube-apiserver"),
        f"--etcd-servers={layout.etcd_url}",
        f"--bind-address={HOST}",
        f"--secure-port={layout.ports.api_server}",
        f"--service-cluster-ip-range={_SERVICE_RANGE}",
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


def controllers_command(layout: Layout, *, kubeconfig: Path) -> list[str]:
    """Garbage collection, namespaces, service accounts, Jobs and the rest."""
    authority = layout.authority
    return [
        str(layout.binaries / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={HOST}",
        f"--secure-port={layout.ports.controllers}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.server.key}",
        f"--root-ca-file={authority.certificate}",
        f"--cluster-signing-cert-file={authority.certificate}",
        f"--cluster-signing-key-file={authority.key}",
        "--leader-elect=false",
    ]
