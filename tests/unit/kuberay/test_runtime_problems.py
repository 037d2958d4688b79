"""Why a job can't be run as ``spec.runtime`` says."""

from typing import Any

import pytest

from controller.launchers.kuberay.installation import Installation, RuntimeProfile
from controller.launchers.kuberay.problems import find_runtime_problems
from distillery.errors import MAX_MESSAGE_CHARS
from tests.unit.kuberay.launches import (
    GPU_CHANGES,
    IMAGE,
    INSTALLATION,
    make_cluster_job,
    with_metadata,
)

ADDRESS = {"runtime__rayAddress": "http://ray:8265"}
WITH_PROFILES = Installation(
    image=IMAGE,
    profiles={"rdma": RuntimeProfile(namespaces=("ml",)), "open": RuntimeProfile()},
)


def problems_of(installation: Installation = INSTALLATION, **changes: Any) -> list[str]:
    found = [str(each) for each in find_runtime_problems(make_cluster_job(**changes), installation)]
    assert all(len(problem) <= MAX_MESSAGE_CHARS for problem in found)
    return found


@pytest.mark.parametrize("changes", [{}, GPU_CHANGES, ADDRESS], ids=["cpu", "gpu", "address"])
def test_an_ordinary_job_has_no_problems(changes: dict[str, Any]) -> None:
    assert problems_of(**changes) == []


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (
            ADDRESS | {"credentials": [{"name": "bucket", "kind": "S3", "secretRef": {"name": "s"}}]},
            "spec.credentials: can't be used with runtime.rayAddress, got bucket; storage credentials must already be on that cluster, remove them here",
        ),
        (
            {"runtime__rayAddress": "http://me:secret@ray:8265"},
            "spec.runtime.rayAddress: must hold no password, got one; put a token's Secret into rayTokenSecretRef",
        ),
        (
            ADDRESS | {"runtime__queueName": "gpus"},
            "spec.runtime.queueName: is for pods, which rayAddress has none of, got gpus; remove one of them",
        ),
        (
            ADDRESS | {"runtime__priorityClassName": "high"},
            "spec.runtime.priorityClassName: is for pods, which rayAddress has none of, got high; remove one of them",
        ),
        (
            ADDRESS | {"runtime__profile": "rdma"},
            "spec.runtime.profile: is for pods, which rayAddress has none of, got rdma; remove one of them",
        ),
        (
            ADDRESS | {"runtime__image": "x"},
            "spec.runtime.image: is for pods, which rayAddress has none of, got x; remove one of them",
        ),
        (
            ADDRESS | {"runtime__serviceAccountName": "me"},
            "spec.runtime.serviceAccountName: is for pods, which rayAddress has none of, got me; remove one of them",
        ),
        (
            ADDRESS | {"runtime__modelCache": {"type": "claim", "claimName": "m"}},
            "spec.runtime.modelCache: is for pods, which rayAddress has none of, got a mapping; remove one of them",
        ),
        (
            ADDRESS | {"runtime__head": {"spec": {}}},
            "spec.runtime.head: is for pods, which rayAddress has none of, got a mapping; remove one of them",
        ),
        (
            ADDRESS | {"runtime__workers": {"spec": {}}},
            "spec.runtime.workers: is for pods, which rayAddress has none of, got a mapping; remove one of them",
        ),
        (
            {"runtime__rayTokenSecretRef": {"name": "token"}},
            "spec.runtime.rayTokenSecretRef: is for rayAddress only, got token; remove it, or set rayAddress",
        ),
        (
            {"storage__uri": "file:///store"},
            "spec.storage.uri: must be s3://, for pods share no disk, got file:///store; or mount a shared volume there in spec.runtime.head",
        ),
    ],
)  # fmt: skip
def test_settings_that_exclude_each_other_are_refused(changes: dict[str, Any], want: str) -> None:
    assert problems_of(**changes) == [want]


def test_a_token_may_go_with_an_address() -> None:
    assert problems_of(**ADDRESS, runtime__rayTokenSecretRef={"name": "token"}) == []


def test_a_long_image_still_leaves_the_way_out() -> None:
    (problem,) = problems_of(**ADDRESS, runtime__image="x" * 512)
    assert problem.endswith("; remove one of them")


def test_an_image_is_needed_from_job_or_installation() -> None:
    want = "spec.runtime.image: is missing, and the installation has no default; name the image of Ray pods"
    assert problems_of(Installation()) == [want]
    assert problems_of(Installation(), runtime__image="x") == []


@pytest.mark.parametrize(
    ("profile", "namespace", "want"),
    [
        ("open", "default", []),
        ("rdma", "ml", []),
        (
            "rdma",
            "default",
            ["spec.runtime.profile: is not for namespace default, got rdma; ask an administrator"],
        ),
        ("fast", "ml", ["spec.runtime.profile: is unknown, got fast; there are: open, rdma"]),
    ],
)
def test_a_profile_is_known_and_for_the_jobs_namespace(
    profile: str, namespace: str, want: list[str]
) -> None:
    job = with_metadata(make_cluster_job(runtime__profile=profile), namespace=namespace)
    assert [str(each) for each in find_runtime_problems(job, WITH_PROFILES)] == want


def test_without_profiles_none_are_named() -> None:
    want = "spec.runtime.profile: is unknown, got fast; there are: none"
    assert problems_of(runtime__profile="fast") == [want]


def test_two_queues_are_refused() -> None:
    labels = {"kueue.x-k8s.io/queue-name": "a"}
    job = with_metadata(make_cluster_job(runtime__queueName="b"), labels=labels)
    want = "spec.runtime.queueName: must be the label's queue (a), got b; keep one of them"
    assert [str(each) for each in find_runtime_problems(job, INSTALLATION)] == [want]
    same = with_metadata(make_cluster_job(runtime__queueName="a"), labels=labels)
    assert find_runtime_problems(same, INSTALLATION) == []


def shared(container: str) -> dict[str, Any]:
    """Changes that mount a shared claim in a pod."""
    return {
        "spec": {
            "volumes": [{"name": "nfs", "persistentVolumeClaim": {"claimName": "nfs"}}],
            "containers": [
                {"name": container, "volumeMounts": [{"name": "nfs", "mountPath": "/shared"}]}
            ],
        }
    }


def test_files_on_a_shared_volume_are_storage_too() -> None:
    place = {"storage__uri": "file:///shared/store", "runtime__head": shared("ray-head")}
    assert problems_of(**place) == []
    (problem,) = problems_of(**place, **GPU_CHANGES)
    assert problem.endswith("or mount a shared volume there in spec.runtime.workers")
    assert problems_of(**place, **GPU_CHANGES, runtime__workers=shared("ray-worker")) == []


def test_all_problems_are_told_at_once() -> None:
    found = problems_of(
        Installation(),
        runtime__profile="x",
        runtime__head={"spec": {"hostNetwork": True}},
        storage__credentialsRef="none",
    )
    assert [problem.partition(":")[0] for problem in found] == [
        "spec.runtime.image",
        "spec.storage.credentialsRef",
        "spec.runtime.profile",
        "spec.runtime.head.spec.hostNetwork",
    ]
