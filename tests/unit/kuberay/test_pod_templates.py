"""What the pods of a step are: restricted, with volumes of their own, and one that may report."""

from typing import Any

import pytest

from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.quantities import parse_quantity
from distillery.steps import CURATE, GENERATE, PREPARE, PUBLISH, Step, evaluate_step, train_step
from tests.unit.kuberay.launches import (
    GPU_CHANGES,
    IMAGE,
    groups_of,
    head_of,
    mounts_of,
    ray_job_of,
    templates_of,
    variables_of,
    volumes_of,
)
from tests.unit.kuberay.pod_security import find_breaches

STEPS = [PREPARE, GENERATE, CURATE, train_step("small"), evaluate_step("small"), PUBLISH]
FULL: dict[str, Any] = {
    "credentials": [{"name": "bucket", "kind": "S3", "secretRef": {"name": "s3"}}],
    "storage__credentialsRef": "bucket",
    "runtime__modelCache": {"type": "claim", "claimName": "models"},
}
API_ACCESS = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
@pytest.mark.parametrize(
    "changes", [{}, GPU_CHANGES, GPU_CHANGES | FULL], ids=["cpu", "gpu", "full"]
)
def test_all_pods_are_restricted(step: Step, changes: dict[str, Any]) -> None:
    for template in templates_of(ray_job_of(step, **changes)):
        assert find_breaches(template) == []


def test_the_check_of_restricted_pods_finds_breaches() -> None:
    template = head_of(ray_job_of(PREPARE))
    template["spec"]["hostNetwork"] = True
    template["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
    template["spec"]["containers"][0]["securityContext"] = {"privileged": True, "runAsUser": 0}
    assert find_breaches(template) == [
        "hostNetwork",
        "volume node: hostPath",
        "ray-head: privileged",
        "ray-head: allowPrivilegeEscalation",
        "ray-head: runAsUser",
        "ray-head: capabilities.drop",
    ]


def test_only_the_drivers_container_may_speak_to_the_api_server() -> None:
    ray_job = ray_job_of(GENERATE, **GPU_CHANGES)
    assert all(
        each["spec"]["automountServiceAccountToken"] is False for each in templates_of(ray_job)
    )
    holders = [
        container["name"]
        for template in templates_of(ray_job)
        for container in template["spec"]["containers"]
        if API_ACCESS in mounts_of(container)
    ]
    assert holders == ["ray-head"]
    assert volumes_of(head_of(ray_job))["api-access"] == {
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                            }
                        ]
                    }
                },
            ]
        }
    }


def test_no_pod_is_disturbed_by_autoscalers() -> None:
    for template in templates_of(ray_job_of(GENERATE, **GPU_CHANGES)):
        annotations = template["metadata"]["annotations"]
        assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert annotations["karpenter.sh/do-not-disrupt"] == "true"


def test_a_log_shipper_reads_rays_folder_beside_every_ray_container() -> None:
    ray_job = ray_job_of(GENERATE, **GPU_CHANGES)
    for template in (head_of(ray_job), groups_of(ray_job)[0]["template"]):
        ray, shipper = template["spec"]["containers"]
        assert (shipper["name"], shipper["command"]) == (
            "log-shipper",
            ["python", "-m", "ray_jobs.logs"],
        )
        (read,) = [each for each in shipper["volumeMounts"] if each["mountPath"] == "/tmp/ray"]
        (written,) = [each for each in ray["volumeMounts"] if each["mountPath"] == "/tmp/ray"]
        assert read == {**written, "readOnly": True}
        assert volumes_of(template)[read["name"]] == {"emptyDir": {"sizeLimit": "20Gi"}}
        variables = variables_of(shipper)
        assert variables["DISTILLERY_LOG_PREFIX"] == "jobs/default/sums/generate/attempts/1-1/logs"
        assert {
            "name": "POD_NAME",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        } in shipper["env"]


def test_the_shippers_storage_is_the_jobs() -> None:
    ray_job = ray_job_of(
        PREPARE, storage__endpointUrl="https://s3.example.com:9000", storage__region="eu-1", **FULL
    )
    for container in head_of(ray_job)["spec"]["containers"]:
        variables = variables_of(container)
        assert variables["DISTILLERY_STORAGE_ENDPOINT"] == "https://s3.example.com:9000"
        assert variables["DISTILLERY_STORAGE_REGION"] == "eu-1"
        assert variables["DISTILLERY_STORAGE_CREDENTIALS"] == "bucket"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_every_folder_that_is_written_is_a_volume(step: Step) -> None:
    for template in templates_of(ray_job_of(step, **GPU_CHANGES))[:-1]:
        container = template["spec"]["containers"][0]
        mounts, variables = mounts_of(container), variables_of(container)
        for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME", "VLLM_CACHE_ROOT"):
            assert any(
                variables[name] == mount or variables[name].startswith(f"{mount}/")
                for mount in mounts
            ), name


def test_the_root_file_system_can_be_read_only() -> None:
    installation = Installation(image=IMAGE, read_only_root_filesystem=True)
    for template in templates_of(ray_job_of(GENERATE, installation=installation, **GPU_CHANGES)):
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "/tmp" in mounts_of(container)


@pytest.mark.parametrize("memory", [None, "64Gi", "10000M"])
def test_shared_memory_counts_in_the_memory_limit(memory: str | None) -> None:
    sizes = {"requests": {"memory": memory}, "limits": {"memory": memory}}
    override = {"spec": {"containers": [{"name": "ray-head", "resources": sizes}]}}
    ray_job = ray_job_of(CURATE, **({"runtime__head": override} if memory else {}))
    template = head_of(ray_job)
    limit = parse_quantity(template["spec"]["containers"][0]["resources"]["limits"]["memory"])
    shared = volumes_of(template)["shared-memory"]["emptyDir"]
    assert shared["medium"] == "Memory"
    size = parse_quantity(shared["sizeLimit"])
    assert size is not None
    assert limit is not None
    assert limit / 2 - 1024**2 < size <= limit / 2
    assert mounts_of(template["spec"]["containers"][0])["/dev/shm"] == "shared-memory"


def test_scratch_is_requested_and_limited() -> None:
    template = head_of(ray_job_of(CURATE, runtime__scratchGib=100))
    resources = template["spec"]["containers"][0]["resources"]
    assert volumes_of(template)["scratch"] == {"emptyDir": {"sizeLimit": "100Gi"}}
    assert resources["requests"]["ephemeral-storage"] == "102Gi"
    assert resources["limits"]["ephemeral-storage"] == "102Gi"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_every_container_has_requests_and_limits(step: Step) -> None:
    for template in templates_of(ray_job_of(step, **GPU_CHANGES)):
        for container in template["spec"]["containers"]:
            for kind in ("requests", "limits"):
                assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][kind])


@pytest.mark.parametrize(
    ("cache", "want"),
    [
        pytest.param(
            {"type": "claim", "claimName": "models"},
            {"persistentVolumeClaim": {"claimName": "models"}},
            id="claim",
        ),
        pytest.param(
            {"type": "ephemeral", "sizeGib": 800, "storageClassName": "fast"},
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "800Gi"}},
                            "storageClassName": "fast",
                        }
                    }
                }
            },
            id="ephemeral",
        ),
    ],
)
def test_the_model_cache_is_mounted_where_models_are_kept(
    cache: dict[str, Any], want: dict[str, Any]
) -> None:
    ray_job = ray_job_of(GENERATE, runtime__modelCache=cache, **GPU_CHANGES)
    for template in (head_of(ray_job), groups_of(ray_job)[0]["template"]):
        assert mounts_of(template["spec"]["containers"][0])["/scratch/models"] == "model-cache"
        assert volumes_of(template)["model-cache"] == want


def test_without_a_model_cache_models_lie_on_the_scratch_disk() -> None:
    template = head_of(ray_job_of(GENERATE))
    assert "model-cache" not in volumes_of(template)
    assert variables_of(template["spec"]["containers"][0])["HF_HOME"].startswith("/scratch/")


@pytest.mark.parametrize(
    ("wish", "default", "want"),
    [("", "", "sums-distillery"), ("", "chart", "chart"), ("mine", "chart", "mine")],
    ids=["own", "chart", "job"],
)
def test_pods_run_as_the_jobs_account(wish: str, default: str, want: str) -> None:
    installation = Installation(image=IMAGE, service_account_name=default)
    ray_job = ray_job_of(
        GENERATE, installation=installation, runtime__serviceAccountName=wish, **GPU_CHANGES
    )
    for template in (head_of(ray_job), groups_of(ray_job)[0]["template"]):
        assert template["spec"]["serviceAccountName"] == want
    assert "serviceAccountName" not in ray_job["spec"]["submitterPodTemplate"]["spec"]


def test_containers_without_gpus_see_none() -> None:
    ray_job = ray_job_of(GENERATE, **GPU_CHANGES)
    seen = {
        container["name"]: variables_of(container).get("NVIDIA_VISIBLE_DEVICES")
        for template in templates_of(ray_job)
        for container in template["spec"]["containers"]
    }
    assert seen == {
        "ray-head": "void",
        "log-shipper": "void",
        "ray-worker": None,
        "ray-job-submitter": "void",
    }


def test_images_are_pulled_as_the_installation_says() -> None:
    installation = Installation(image="x", image_pull_policy="Never", image_pull_secrets=("pull",))
    for template in templates_of(ray_job_of(GENERATE, installation=installation, **GPU_CHANGES)):
        assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
        for container in template["spec"]["containers"]:
            assert (container["image"], container["imagePullPolicy"]) == (IMAGE, "Never")


def test_the_cluster_may_choose_user_and_group() -> None:
    installation = Installation(image=IMAGE, run_as_user=None, fs_group=None)
    for template in templates_of(ray_job_of(PREPARE, installation=installation)):
        assert template["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_ports_have_the_names_kuberay_looks_for() -> None:
    ray_job = ray_job_of(GENERATE, **GPU_CHANGES)
    ports = {
        template["spec"]["containers"][0]["name"]: {
            port["name"]: port["containerPort"]
            for port in template["spec"]["containers"][0]["ports"]
        }
        for template in templates_of(ray_job)[:-1]
    }
    assert ports == {
        "ray-head": {"metrics": 8080, "gcs-server": 6379, "dashboard": 8265},
        "ray-worker": {"metrics": 8080},
    }
