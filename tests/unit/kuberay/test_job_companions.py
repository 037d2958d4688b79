"""What a job has once."""

from typing import Any

import pytest

from controller.kube.api import Json
from controller.launchers.kuberay.companions import build_companions
from controller.launchers.kuberay.installation import Installation, NetworkSettings
from distillery.names import MAX_JOB_NAME_CHARS
from distillery.steps import GENERATE
from tests.unit.kuberay.launches import (
    GPU_CHANGES,
    IMAGE,
    INSTALLATION,
    UID,
    make_cluster_job,
    ray_job_of,
    templates_of,
    with_metadata,
)

LABELS = {"distillery.dev/job": "sums", "app.kubernetes.io/managed-by": "distillery"}


def companions_of(installation: Installation = INSTALLATION, **changes: Any) -> dict[str, Json]:
    """Kind to object."""
    built = build_companions(make_cluster_job(**changes), UID, installation)
    for resource, body in built:
        assert (body["apiVersion"], body["kind"]) == (resource.api_version, resource.kind)
    return {body["kind"]: body for _, body in built}


def test_a_job_has_one_of_each_and_owns_them_all() -> None:
    built = companions_of()
    assert {kind: body["metadata"]["name"] for kind, body in built.items()} == {
        "ServiceAccount": "sums-distillery",
        "ConfigMap": "sums-progress",
        "Role": "sums-progress",
        "RoleBinding": "sums-progress",
        "NetworkPolicy": "sums-distillery",
    }
    for body in built.values():
        metadata = body["metadata"]
        assert metadata["namespace"] == "default"
        assert metadata["labels"] == LABELS
        (owner,) = metadata["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (UID, True, True)


def test_the_role_is_one_rule_for_one_config_map() -> None:
    assert companions_of()["Role"]["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["sums-progress"],
            "verbs": ["get", "patch"],
        }
    ]


@pytest.mark.parametrize(
    ("wish", "default", "want"),
    [("", "", "sums-distillery"), ("", "chart", "chart"), ("mine", "chart", "mine")],
    ids=["own", "chart", "job"],
)
def test_the_role_is_bound_to_the_account_the_pods_run_as(
    wish: str, default: str, want: str
) -> None:
    installation = Installation(image=IMAGE, service_account_name=default)
    built = companions_of(installation, runtime__serviceAccountName=wish)
    assert ("ServiceAccount" in built) == (want == "sums-distillery")
    binding = built["RoleBinding"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": want, "namespace": "default"}]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": "sums-progress",
    }


def test_the_accounts_token_is_not_mounted_by_itself() -> None:
    assert companions_of()["ServiceAccount"]["automountServiceAccountToken"] is False


def test_an_administrators_binding_replaces_the_role() -> None:
    assert set(companions_of(Installation(image=IMAGE, rbac_per_job=False))) == {
        "ServiceAccount",
        "ConfigMap",
        "NetworkPolicy",
    }


def test_the_network_policy_can_be_left_out() -> None:
    network = NetworkSettings(enabled=False)
    assert "NetworkPolicy" not in companions_of(Installation(image=IMAGE, network_policy=network))


def test_a_job_on_an_existing_ray_cluster_needs_nothing() -> None:
    job = make_cluster_job(runtime__rayAddress="http://ray:8265")
    assert build_companions(job, UID, INSTALLATION) == ()


def test_names_of_a_job_with_the_longest_name_are_legal() -> None:
    job = with_metadata(make_cluster_job(), name="j" * MAX_JOB_NAME_CHARS)
    for _, body in build_companions(job, UID, INSTALLATION):
        assert len(body["metadata"]["name"]) <= 253


def test_only_own_pods_kuberay_and_prometheus_come_in() -> None:
    spec = companions_of()["NetworkPolicy"]["spec"]
    own = {"podSelector": {"matchLabels": LABELS}}
    assert spec["podSelector"] == {"matchLabels": LABELS}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    operator = {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
    prometheus = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    assert spec["ingress"] == [
        {"from": [own]},
        {
            "from": [{"namespaceSelector": {}, "podSelector": operator}],
            "ports": [{"protocol": "TCP", "port": 8265}],
        },
        {
            "from": [{"namespaceSelector": {}, "podSelector": prometheus}],
            "ports": [{"protocol": "TCP", "port": 8080}],
        },
    ]


@pytest.mark.parametrize(
    ("endpoint", "want"),
    [
        ("", [443, 6443]),
        ("https://s3.example.com", [443, 6443]),
        ("http://store:8333", [443, 6443, 8333]),
        ("http://store", [80, 443, 6443]),
        ("http://store:none", [443, 6443]),
    ],
)
def test_pods_reach_names_storage_hub_and_api_server(endpoint: str, want: list[int]) -> None:
    spec = companions_of(storage__endpointUrl=endpoint)["NetworkPolicy"]["spec"]
    assert spec["egress"] == [
        {"to": [{"podSelector": {"matchLabels": LABELS}}]},
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
        {"ports": [{"protocol": "TCP", "port": port} for port in want]},
    ]


def test_the_administrator_sets_peers_and_adds_rules() -> None:
    dns, outside = {"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}
    extra = {"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}
    network = NetworkSettings(
        operator_peers=(dns,),
        dns_peers=(dns,),
        egress_peers=(outside,),
        egress_ports=(9000,),
        extra_egress=(extra,),
        extra_ingress=({"from": [outside]},),
    )
    spec = companions_of(Installation(image=IMAGE, network_policy=network))["NetworkPolicy"]["spec"]
    assert spec["ingress"][1]["from"] == [dns]
    assert spec["ingress"][-1] == {"from": [outside]}
    assert spec["egress"][1]["to"] == [dns]
    assert spec["egress"][2] == {"to": [outside], "ports": [{"protocol": "TCP", "port": 9000}]}
    assert spec["egress"][-1] == extra


def test_the_policy_selects_every_pod_of_a_step() -> None:
    selector = companions_of()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    for template in templates_of(ray_job_of(GENERATE, **GPU_CHANGES)):
        assert selector.items() <= template["metadata"]["labels"].items()
