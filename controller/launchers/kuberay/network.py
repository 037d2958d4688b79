"""The NetworkPolicy of a job: whom its pods may speak to, and who to them.

Ray's ports run whatever they are told, so only the job's own pods reach them; KubeRay reaches the
dashboard, which asks for a token besides.
"""

from urllib.parse import urlsplit

from controller.kube.api import Json
from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.labels import job_labels
from controller.launchers.kuberay.places import DASHBOARD_PORT
from distillery.spec.job import DistillationJob

_DNS_PORT = 53
_SCHEME_PORTS = {"http": 80, "https": 443}


def build_policy_spec(job: DistillationJob, installation: Installation) -> Json:
    """The policy's ``spec``."""
    return {
        "podSelector": {"matchLabels": job_labels(job)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": _ingress(job, installation),
        "egress": _egress(job, installation),
    }


def _ingress(job: DistillationJob, installation: Installation) -> list[Json]:
    network = installation.network_policy
    return [
        {"from": [_own_pods(job)]},
        {"from": list(network.operator_peers), "ports": [_tcp(DASHBOARD_PORT)]},
        {"from": list(network.metrics_peers), "ports": [_tcp(installation.metrics_port)]},
        *network.extra_ingress,
    ]


def _egress(job: DistillationJob, installation: Installation) -> list[Json]:
    network = installation.network_policy
    dns = [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]
    ports = sorted({*network.egress_ports, *_storage_port(job)})
    return [
        {"to": [_own_pods(job)]},
        _to(network.dns_peers, dns),
        _to(network.egress_peers, [_tcp(port) for port in ports]),
        *network.extra_egress,
    ]


def _to(peers: tuple[Json, ...], ports: list[Json]) -> Json:
    return {"to": list(peers), "ports": ports} if peers else {"ports": ports}


def _own_pods(job: DistillationJob) -> Json:
    return {"podSelector": {"matchLabels": job_labels(job)}}


def _storage_port(job: DistillationJob) -> tuple[int, ...]:
    """The port of the storage's own server; none where that can't be told."""
    parts = urlsplit(job.spec.storage.endpoint_url)
    try:
        port = parts.port or _SCHEME_PORTS.get(parts.scheme)
    except ValueError:
        return ()
    return (port,) if port else ()


def _tcp(port: int) -> Json:
    return {"protocol": "TCP", "port": port}
