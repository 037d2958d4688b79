"""Which changes to pods are refused, in which words, and which are made."""

from typing import Any

import pytest

from controller.launchers.kuberay.installation import Installation, RuntimeProfile
from controller.launchers.kuberay.problems import find_runtime_problems
from controller.launchers.kuberay.rayjob import build_ray_job
from distillery.errors import MAX_MESSAGE_CHARS
from distillery.steps import CURATE, GENERATE, PREPARE
from tests.unit.kuberay.launches import (
    GPU_CHANGES,
    IMAGE,
    INSTALLATION,
    groups_of,
    head_of,
    make_cluster_job,
    make_launch,
    mounts_of,
    ray_job_of,
    variables_of,
    volumes_of,
)
from tests.unit.kuberay.pod_security import find_breaches

Json = dict[str, Any]
HEAD = "spec.runtime.head"
RAY = f"{HEAD}.spec.containers[ray-head]"
PROFILE = "remove it, or ask an administrator for a runtime profile"


def spec(**fields: Any) -> Json:
    return {"spec": fields}


def container(name: str = "ray-head", **fields: Any) -> Json:
    return spec(containers=[{"name": name, **fields}])


def volume(**source: Any) -> Json:
    return spec(volumes=[{"name": "mine", **source}])


def mount(path: str, name: str = "mine") -> Json:
    return container(volumeMounts=[{"name": name, "mountPath": path}])


def limits(**amounts: Any) -> Json:
    return container(resources={"limits": amounts})


FIXED_FOR_ALL = [
    (
        spec(restartPolicy="Always"),
        f'{HEAD}.spec.restartPolicy: can\'t be changed, got "Always"; a restarted pod would run its step twice',
    ),
    (
        spec(serviceAccountName="other"),
        f'{HEAD}.spec.serviceAccountName: can\'t be changed, got "other"; set spec.runtime.serviceAccountName',
    ),
    (
        spec(serviceAccount="other"),
        f'{HEAD}.spec.serviceAccount: can\'t be changed, got "other"; set spec.runtime.serviceAccountName',
    ),
    (
        spec(automountServiceAccountToken=True),
        f"{HEAD}.spec.automountServiceAccountToken: can't be changed, got true; only the driver speaks to the API server",
    ),
    (
        spec(priorityClassName="high"),
        f'{HEAD}.spec.priorityClassName: can\'t be changed, got "high"; set spec.runtime.priorityClassName',
    ),
    (
        spec(activeDeadlineSeconds=5),
        f"{HEAD}.spec.activeDeadlineSeconds: can't be changed, got 5; set spec.runtime.stepDeadlineSeconds",
    ),
    (
        container(command=["sh"]),
        f'{RAY}.command: can\'t be changed, got ["sh"]; the step starts it',
    ),
    (container(args=["-c"]), f'{RAY}.args: can\'t be changed, got ["-c"]; the step starts it'),
    (
        container("log-shipper", args=["-c"]),
        f'{HEAD}.spec.containers[log-shipper].args: can\'t be changed, got ["-c"]; the step starts it',
    ),
    (
        container(image="evil"),
        f'{RAY}.image: can\'t be changed, got "evil"; set spec.runtime.image',
    ),
    (
        container(ports=[{"containerPort": 1}]),
        f'{RAY}.ports: can\'t be changed, got [{{"containerPort": 1}}]; KubeRay finds them by number',
    ),
    (
        container(lifecycle={"postStart": {}}),
        f'{RAY}.lifecycle: can\'t be changed, got {{"postStart": {{}}}}; remove it',
    ),
    (
        container(env=[{"name": "DISTILLERY_STEP_CONFIG", "value": "{}"}]),
        f'{RAY}.env[DISTILLERY_STEP_CONFIG]: can\'t be changed, got "DISTILLERY_STEP_CONFIG"; remove it',
    ),
    (
        container(env=[{"name": "RAY_AUTH_MODE", "value": "disabled"}]),
        f'{RAY}.env[RAY_AUTH_MODE]: can\'t be changed, got "RAY_AUTH_MODE"; remove it',
    ),
    (
        container(env=[{"name": "HF_HOME", "value": "/x"}]),
        f'{RAY}.env[HF_HOME]: can\'t be changed, got "HF_HOME"; remove it',
    ),
    (
        limits(**{"nvidia.com/gpu": 8}),
        f"{RAY}.resources.limits[nvidia.com/gpu]: can't be changed, got 8; GPUs follow from engine and workers",
    ),
    (
        limits(**{"ephemeral-storage": "1Ti"}),
        f'{RAY}.resources.limits[ephemeral-storage]: can\'t be changed, got "1Ti"; set spec.runtime.scratchGiB',
    ),
    (
        spec(volumes=[{"name": "scratch", "emptyDir": {}}]),
        f'{HEAD}.spec.volumes[scratch]: can\'t be changed, got "scratch"; choose another name',
    ),
    (
        mount("/scratch"),
        f'{RAY}.volumeMounts[/scratch]: can\'t be changed, got "/scratch"; mount it elsewhere',
    ),
    (mount("/"), f'{RAY}.volumeMounts[/]: can\'t be changed, got "/"; mount it elsewhere'),
    (mount("/dev"), f'{RAY}.volumeMounts[/dev]: can\'t be changed, got "/dev"; mount it elsewhere'),
    (
        mount("/run/secrets/kubernetes.io/serviceaccount/x"),
        f'{RAY}.volumeMounts[/var/run/secrets/kubernetes.io/serviceaccount/x]: can\'t be changed, got "/run/secrets/kubernetes.io/s...; mount it elsewhere',
    ),
    (
        mount("//var/run/distillery/"),
        f'{RAY}.volumeMounts[/var/run/distillery]: can\'t be changed, got "//var/run/distillery/"; mount it elsewhere',
    ),
    (
        mount("/mine", name="credentials"),
        f'{RAY}.volumeMounts[/mine]: can\'t be changed, got "credentials"; mount a volume of your own',
    ),
    (
        {"metadata": {"labels": {"distillery.dev/job": "other"}}},
        f'{HEAD}.metadata.labels[distillery.dev/job]: can\'t be changed, got "other"; remove it',
    ),
    (
        {"metadata": {"labels": {"ray.io/cluster": "other"}}},
        f'{HEAD}.metadata.labels[ray.io/cluster]: can\'t be changed, got "other"; remove it',
    ),
    (
        {"metadata": {"annotations": {"ray.io/overwrite-container-cmd": "true"}}},
        f'{HEAD}.metadata.annotations[ray.io/overwrite-container-cmd]: can\'t be changed, got "true"; remove it',
    ),
    (
        {"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}},
        f'{HEAD}.metadata.annotations[cluster-autoscaler.kubernetes.io/safe-to-evict]: can\'t be changed, got "true"; remove it',
    ),
    (
        {"metadata": {"name": "x"}},
        f'{HEAD}.metadata.name: can\'t be changed, got "x"; only labels and annotations may be added',
    ),
    (
        {"replicas": 3},
        f"{HEAD}.replicas: is no part of a pod template, got 3; use metadata and spec",
    ),
]  # fmt: skip

FIXED_FOR_JOBS = [
    (spec(hostNetwork=True), f"{HEAD}.spec.hostNetwork: can't be changed, got true; {PROFILE}"),
    (spec(hostPID=True), f"{HEAD}.spec.hostPID: can't be changed, got true; {PROFILE}"),
    (spec(hostIPC=True), f"{HEAD}.spec.hostIPC: can't be changed, got true; {PROFILE}"),
    (
        spec(initContainers=[{"name": "x"}]),
        f'{HEAD}.spec.initContainers: can\'t be changed, got [{{"name": "x"}}]; {PROFILE}',
    ),
    (
        container("sidecar", image="x"),
        f'{HEAD}.spec.containers[sidecar]: can\'t be added, got "sidecar"; use ray-head or log-shipper',
    ),
    (
        container(securityContext={"privileged": True}),
        f"{RAY}.securityContext.privileged: can't be changed, got true; {PROFILE}",
    ),
    (
        container(securityContext={"capabilities": {"add": ["IPC_LOCK"]}}),
        f'{RAY}.securityContext.capabilities: can\'t be changed, got {{"add": ["IPC_LOCK"]}}; {PROFILE}',
    ),
    (
        container(securityContext={"allowPrivilegeEscalation": True}),
        f"{RAY}.securityContext.allowPrivilegeEscalation: can't be changed, got true; {PROFILE}",
    ),
    (
        container(securityContext={"runAsUser": 0}),
        f"{RAY}.securityContext.runAsUser: must not be root, got 0; use 1 or more",
    ),
    (
        spec(securityContext={"runAsUser": 0}),
        f"{HEAD}.spec.securityContext.runAsUser: must not be root, got 0; use 1 or more",
    ),
    (
        spec(securityContext={"runAsNonRoot": False}),
        f"{HEAD}.spec.securityContext.runAsNonRoot: can't be changed, got false; {PROFILE}",
    ),
    (
        spec(securityContext={"sysctls": []}),
        f"{HEAD}.spec.securityContext.sysctls: can't be changed, got []; {PROFILE}",
    ),
    (
        container(envFrom=[{"secretRef": {"name": "x"}}]),
        f'{RAY}.envFrom: can\'t be changed, got [{{"secretRef": {{"name": "x"}}}}]; {PROFILE}',
    ),
    (
        limits(**{"rdma/hca": 1}),
        f"{RAY}.resources.limits[rdma/hca]: can't be changed, got 1; {PROFILE}",
    ),
    (
        container(resources={"claims": []}),
        f"{RAY}.resources.claims: can't be changed, got []; {PROFILE}",
    ),
    (
        volume(hostPath={"path": "/"}),
        f'{HEAD}.spec.volumes[mine].hostPath: is not allowed, got "hostPath"; use configMap, csi, downwardAPI, emptyDir, ephemeral, persistentVolumeClaim, projected, secret, or a runtime profile',
    ),
    (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
        f'{HEAD}.spec.volumes[mine].projected.sources: can\'t be changed, got "serviceAccountToken"; only the driver speaks to the API server',
    ),
]  # fmt: skip

MALFORMED = [
    ({"spec": []}, f"{HEAD}.spec: must be a mapping, got []; write it as in a pod template"),
    ({"metadata": None}, f"{HEAD}.metadata: must be a mapping, got null; write it as in a pod template"),
    (
        {"metadata": {"labels": {"a": 1}}},
        f"{HEAD}.metadata.labels[a]: must be text, got 1; write it as in a pod template",
    ),
    (
        {"metadata": {"labels": ["a"]}},
        f'{HEAD}.metadata.labels: must be a mapping, got ["a"]; write it as in a pod template',
    ),
    (
        spec(containers={"name": "x"}),
        f'{HEAD}.spec.containers: must be a list of items with a name, got {{"name": "x"}}; name each',
    ),
    (
        spec(volumes=[{"emptyDir": {}}]),
        f'{HEAD}.spec.volumes: must be a list of items with a name, got [{{"emptyDir": {{}}}}]; name each',
    ),
    (
        container(env={"A": "b"}),
        f'{RAY}.env: must be a list of items with a name, got {{"A": "b"}}; name each',
    ),
    (
        container(volumeMounts=[{"name": "x"}]),
        f'{RAY}.volumeMounts: must be a list of items with name and mountPath, got [{{"name": "x"}}]; give both',
    ),
    (
        container(resources=None),
        f"{RAY}.resources: must be a mapping, got null; write it as in a pod template",
    ),
    (
        container(resources={"limits": "all"}),
        f'{RAY}.resources.limits: must be a mapping, got "all"; write it as in a pod template',
    ),
    (
        limits(memory="lots"),
        f'{RAY}.resources.limits[memory]: must be a quantity above 0, got "lots"; write it as 500m or 8Gi',
    ),
    (
        limits(cpu=None),
        f"{RAY}.resources.limits[cpu]: must be a quantity above 0, got null; write it as 500m or 8Gi",
    ),
    (
        spec(nodeSelector=None),
        f"{HEAD}.spec.nodeSelector: must be a mapping, got null; write it as in a pod template",
    ),
    (
        spec(tolerations={"key": "gpu"}),
        f'{HEAD}.spec.tolerations: must be a list, got {{"key": "gpu"}}; write it as in a pod template',
    ),
    (
        spec(terminationGracePeriodSeconds=True),
        f"{HEAD}.spec.terminationGracePeriodSeconds: must be a whole number, got true; write it as in a pod template",
    ),
    (
        spec(securityContext=7),
        f"{HEAD}.spec.securityContext: must be a mapping, got 7; write it as in a pod template",
    ),
    (
        container(securityContext={"readOnlyRootFilesystem": "yes"}),
        f'{RAY}.securityContext.readOnlyRootFilesystem: must be true or false, got "yes"; write it as in a pod template',
    ),
]  # fmt: skip


def problems_of(job_head: Json, *, profile: Json | None = None) -> list[str]:
    installation = Installation(
        image=IMAGE, profiles={"rdma": RuntimeProfile(head=profile)} if profile else {}
    )
    job = make_cluster_job(
        runtime__head=job_head, **({"runtime__profile": "rdma"} if profile else {})
    )
    return [str(problem) for problem in find_runtime_problems(job, installation)]


@pytest.mark.parametrize(("override", "want"), [*FIXED_FOR_ALL, *FIXED_FOR_JOBS, *MALFORMED])
def test_an_override_is_refused(override: Json, want: str) -> None:
    found = problems_of(override)
    assert want in found
    assert all(len(problem) <= MAX_MESSAGE_CHARS for problem in found)


@pytest.mark.parametrize(("override", "want"), FIXED_FOR_ALL)
def test_a_profile_cannot_change_what_steps_rely_on(override: Json, want: str) -> None:
    assert want.replace(HEAD, "runtimeProfiles.rdma.head") in problems_of({}, profile=override)


@pytest.mark.parametrize(("override", "_want"), FIXED_FOR_JOBS)
def test_a_profile_may_do_what_a_job_may_not(override: Json, _want: str) -> None:
    assert problems_of({}, profile=override) == []


def test_the_default_template_mounts_only_folders_that_are_protected() -> None:
    ray_job = ray_job_of(GENERATE, runtime__modelCache={"type": "claim", "claimName": "m"})
    for path in mounts_of(head_of(ray_job)["spec"]["containers"][0]):
        job = make_cluster_job(
            runtime__modelCache={"type": "claim", "claimName": "m"}, runtime__head=mount(path)
        )
        (problem,) = find_runtime_problems(job, INSTALLATION)
        assert "can't be changed" in problem.message


@pytest.mark.parametrize("container_name", ["ray-head", "log-shipper"])
def test_none_of_our_variables_can_be_changed(container_name: str) -> None:
    credentials = [
        {"name": "bucket", "kind": "S3", "secretRef": {"name": "s3"}},
        {"name": "hub", "kind": "HuggingFace", "secretRef": {"name": "hf"}},
    ]
    changes: Json = {
        "credentials": credentials,
        "storage__credentialsRef": "bucket",
        "storage__region": "eu",
        "storage__endpointUrl": "https://x",
        "teacher__model__credentialsRef": "hub",
    }
    ours = next(
        each
        for each in head_of(ray_job_of(GENERATE, **changes))["spec"]["containers"]
        if each["name"] == container_name
    )
    for variable in ours["env"]:
        override = container(container_name, env=[{"name": variable["name"], "value": "x"}])
        assert len(problems_of(override)) == 1, variable["name"]


ALLOWED = spec(
    nodeSelector={"pool": "gpu"},
    tolerations=[{"key": "gpu", "operator": "Exists"}],
    affinity={"nodeAffinity": {}},
    terminationGracePeriodSeconds=60,
    runtimeClassName="nvidia",
    securityContext={"runAsUser": 2000, "supplementalGroups": [7]},
    volumes=[{"name": "mine", "persistentVolumeClaim": {"claimName": "data"}}],
    containers=[
        {
            "name": "ray-head",
            "env": [
                {"name": "HTTPS_PROXY", "value": "http://proxy"},
                {"name": "RAY_memory_usage_threshold", "value": "0.9"},
            ],
            "resources": {"requests": {"memory": "30Gi"}, "limits": {"memory": "32Gi"}},
            "securityContext": {"readOnlyRootFilesystem": True},
            "volumeMounts": [{"name": "mine", "mountPath": "/data", "readOnly": True}],
        },
        {"name": "log-shipper", "resources": {"limits": {"cpu": "1"}}},
    ],
) | {"metadata": {"labels": {"team": "nlp"}, "annotations": {"note": "x"}}}


def test_allowed_overrides_are_merged_and_the_rest_stays() -> None:
    template = head_of(ray_job_of(CURATE, runtime__head=ALLOWED))
    plain = head_of(ray_job_of(CURATE))
    ray, shipper = template["spec"]["containers"]
    assert template["metadata"]["labels"] == {**plain["metadata"]["labels"], "team": "nlp"}
    assert template["metadata"]["annotations"] == {**plain["metadata"]["annotations"], "note": "x"}
    assert template["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert template["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert template["spec"]["securityContext"] == {
        **plain["spec"]["securityContext"],
        "runAsUser": 2000,
        "supplementalGroups": [7],
    }
    assert ray["env"][:-2] == plain["spec"]["containers"][0]["env"]
    assert variables_of(ray)["HTTPS_PROXY"] == "http://proxy"
    assert ray["resources"]["limits"] == {
        **plain["spec"]["containers"][0]["resources"]["limits"],
        "memory": "32Gi",
    }
    assert mounts_of(ray) == {**mounts_of(plain["spec"]["containers"][0]), "/data": "mine"}
    assert volumes_of(template)["mine"] == {"persistentVolumeClaim": {"claimName": "data"}}
    assert shipper["resources"]["limits"]["cpu"] == "1"
    assert shipper["command"] == ["python", "-m", "ray_jobs.logs"]
    assert find_breaches(template) == []


def test_head_and_workers_are_changed_apart() -> None:
    workers = {"spec": {"nodeSelector": {"gpu": "h100"}}}
    ray_job = ray_job_of(GENERATE, runtime__workers=workers, **GPU_CHANGES)
    assert "nodeSelector" not in head_of(ray_job)["spec"]
    assert groups_of(ray_job)[0]["template"]["spec"]["nodeSelector"] == {"gpu": "h100"}


def test_the_submitter_goes_where_the_head_goes_and_no_further() -> None:
    template = ray_job_of(CURATE, runtime__head=ALLOWED)["spec"]["submitterPodTemplate"]
    plain = ray_job_of(CURATE)["spec"]["submitterPodTemplate"]
    assert template["spec"] == {
        **plain["spec"],
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    }
    assert template["metadata"] == plain["metadata"]


def test_overrides_of_workers_name_their_place() -> None:
    job = make_cluster_job(runtime__workers=container("ray-worker", command=["sh"]))
    (problem,) = find_runtime_problems(job, INSTALLATION)
    assert problem.path == "spec.runtime.workers.spec.containers[ray-worker].command"


def test_a_profiles_changes_come_before_the_jobs() -> None:
    profile = RuntimeProfile(
        workers={
            "spec": {
                "nodeSelector": {"pool": "rdma", "zone": "a"},
                "tolerations": [{"key": "rdma"}],
                "volumes": [{"name": "node", "hostPath": {"path": "/mnt/models"}}],
                "containers": [
                    {
                        "name": "ray-worker",
                        "resources": {"limits": {"rdma/hca": 1}},
                        "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
                        "volumeMounts": [{"name": "node", "mountPath": "/scratch/models"}],
                    }
                ],
            }
        }
    )
    installation = Installation(image=IMAGE, profiles={"rdma": profile})
    job = make_cluster_job(
        runtime__profile="rdma",
        runtime__workers={"spec": {"nodeSelector": {"zone": "b"}, "tolerations": [{"key": "gpu"}]}},
        **GPU_CHANGES,
    )
    template = groups_of(build_ray_job(make_launch(job, GENERATE), installation))[0]["template"]
    ray = template["spec"]["containers"][0]
    assert template["spec"]["nodeSelector"] == {"pool": "rdma", "zone": "b"}
    assert template["spec"]["tolerations"] == [{"key": "rdma"}, {"key": "gpu"}]
    assert ray["resources"]["limits"]["rdma/hca"] == 1
    assert ray["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
    assert mounts_of(ray)["/scratch/models"] == "node"
    assert find_breaches(template) == ["volume node: hostPath", "ray-worker: capabilities.add"]


def test_a_profiles_own_containers_come_after_ours() -> None:
    profile = RuntimeProfile(head={"spec": {"containers": [{"name": "proxy", "image": "p"}]}})
    installation = Installation(image=IMAGE, profiles={"p": profile})
    job = make_cluster_job(runtime__profile="p")
    template = head_of(build_ray_job(make_launch(job, PREPARE), installation))
    names = [each["name"] for each in template["spec"]["containers"]]
    assert names == ["ray-head", "log-shipper", "proxy"]


def test_a_request_above_its_limit_is_refused() -> None:
    override = container(resources={"requests": {"memory": "64Gi"}})
    want = "resources.requests[memory]: must be at most the limit (16Gi), got 64Gi; set both"
    assert problems_of(override) == [f"{RAY}.{want}"]


def test_long_places_and_values_are_cut() -> None:
    override = {"metadata": {"labels": {f"ray.io/{'k' * 300}": "v" * 300}}}
    (problem,) = problems_of(override)
    assert len(problem) <= MAX_MESSAGE_CHARS
    assert problem.endswith("...; remove it")
