"""What pods and RayJobs tell of a failure: each cause with its reason, its kind and its words."""

import pytest

from controller.kube.api import Json
from controller.launchers.kuberay.blockers import find_blocker
from controller.launchers.kuberay.evidence import EvidenceReason, Sighting, find_end, more_telling
from controller.launchers.kuberay.pod_views import NodeType, read_pod
from controller.launchers.kuberay.projections import (
    project_pod,
    project_ray_cluster,
    project_ray_job,
)
from controller.launchers.kuberay.ray_job_views import failure_of_ray_job, read_ray_job
from controller.launchers.kuberay.wording import phrase
from controller.plan.snapshot import Failure, FailureKind
from distillery.errors import MAX_MESSAGE_CHARS
from tests.unit.kuberay.child_builders import (
    NAME,
    STEP,
    make_cluster,
    make_disruption,
    make_end,
    make_pod,
    make_ray_job,
    make_unscheduled,
    make_wait,
)

OWN, PREEMPTION, UNSCHEDULABLE = FailureKind

ENDS: dict[str, tuple[Json, str, FailureKind, str]] = {
    "out of memory": (
        make_pod("worker", phase="Failed", state=make_end(137, "OOMKilled")),
        "OutOfMemory",
        OWN,
        "train-small: worker pod worker-0: container ray-main ran out of memory, got a limit of 16Gi; raise its memory in spec.runtime.workers",
    ),
    "scheduler preempts": (
        make_pod(conditions=make_disruption("PreemptionByScheduler")),
        "Preempted",
        PREEMPTION,
        "train-small: head pod head-0: was taken away on node n1, got PreemptionByScheduler; the step is tried again and goes on from what is stored",
    ),
    "taint": (
        make_pod(conditions=make_disruption("DeletionByTaintManager"), deleted=True),
        "Preempted",
        PREEMPTION,
        "train-small: head pod head-0: was taken away on node n1, got DeletionByTaintManager; the step is tried again and goes on from what is stored",
    ),
    "node is gone": (
        make_pod("worker", phase="Failed", conditions=make_disruption("DeletionByPodGC")),
        "Preempted",
        PREEMPTION,
        "train-small: worker pod worker-0: was taken away on node n1, got DeletionByPodGC; the step is tried again and goes on from what is stored",
    ),
    "node shuts down": (
        make_pod(
            phase="Failed",
            reason="Terminated",
            message="Pod was terminated in response to imminent node shutdown.",
            conditions=make_disruption("TerminationByKubelet"),
        ),
        "Preempted",
        PREEMPTION,
        "train-small: head pod head-0: was taken away on node n1, got TerminationByKubelet; the step is tried again and goes on from what is stored",
    ),
    "node is drained": (
        make_pod(conditions=make_disruption("EvictionByEvictionAPI")),
        "Preempted",
        PREEMPTION,
        "train-small: head pod head-0: was taken away on node n1, got EvictionByEvictionAPI; the step is tried again and goes on from what is stored",
    ),
    "evicted for memory": (
        make_pod(
            phase="Failed",
            reason="Evicted",
            message="The node was low on resource: memory. Threshold quantity: 100Mi",
            conditions=make_disruption("TerminationByKubelet"),
        ),
        "Evicted",
        OWN,
        "train-small: head pod head-0: was evicted by its node, got 'The node was low on resource: memory. Threshold quantity: 100Mi'; raise memory or scratch in spec.runtime.head, or spec.runtime.scratchGib",
    ),
    "evicted for disk": (
        make_pod(
            "worker",
            phase="Failed",
            reason="Evicted",
            message='Container ray-main exceeded its local ephemeral storage limit "20Gi".',
        ),
        "Evicted",
        OWN,
        "train-small: worker pod worker-0: was evicted by its node, got 'Container ray-main exceeded its local ephemeral storage limit \"20Gi\".'; raise memory or scratch in spec.runtime.workers, or spec.runtime.scratchGib",
    ),
    "exit code": (
        make_pod(phase="Failed", state=make_end(1)),
        "ContainerFailed",
        OWN,
        "train-small: head pod head-0: container ray-main ended on node n1, got exit code 1; see its log below the job's storage",
    ),
    "killed without a reason": (
        make_pod(phase="Failed", state=make_end(137, "ContainerStatusUnknown"), node=""),
        "ContainerFailed",
        OWN,
        "train-small: head pod head-0: container ray-main ended, got exit code 137 (ContainerStatusUnknown); see its log below the job's storage",
    ),
    "init container fails": (
        make_pod("worker", phase="Pending", init=make_end(2), state=make_wait("PodInitializing")),
        "ContainerFailed",
        OWN,
        "train-small: worker pod worker-0: container wait-gcs-ready ended on node n1, got exit code 2; see its log below the job's storage",
    ),
    "node refuses": (
        make_pod(
            phase="Failed", reason="OutOfcpu", message="Node didn't have enough cpu", state={}
        ),
        "PodRefused",
        UNSCHEDULABLE,
        "train-small: head pod head-0: was refused on node n1, got OutOfcpu 'Node didn't have enough cpu'; see that the node has what the pod asks for",
    ),
    "submitter preempted": (
        make_pod("submitter", conditions=make_disruption("PreemptionByScheduler")),
        "Preempted",
        PREEMPTION,
        "train-small: submitter pod submitter-0: was taken away on node n1, got PreemptionByScheduler; the step is tried again and goes on from what is stored",
    ),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("project", [False, True], ids=["whole", "projected"])
def test_a_pods_end_is_told_with_its_cause(name: str, *, project: bool) -> None:
    pod, want_reason, want_kind, want_message = ENDS[name]
    seen = find_end(STEP, [read_pod(project_pod(pod) if project else pod)], is_winding_down=False)
    assert seen is not None
    assert seen.failure == Failure(
        reason=want_reason, kind=want_kind, retriable=True, message=want_message
    )
    assert len(want_message) <= MAX_MESSAGE_CHARS


@pytest.mark.parametrize(
    ("pod", "is_winding_down"),
    [
        pytest.param(make_pod(), False, id="runs"),
        pytest.param(make_pod(phase="Succeeded", state=make_end(0)), False, id="ended well"),
        pytest.param(make_pod(deleted=True, state=make_end(143)), False, id="told to go"),
        pytest.param(make_pod(deleted=True, state=make_end(1)), True, id="taken down"),
        pytest.param(make_pod(sidecar=make_end(137, "OOMKilled")), False, id="sidecar died"),
        pytest.param(make_pod("submitter", state=make_end(1)), False, id="submitter ended"),
        pytest.param(make_pod("worker", init=make_end(0)), False, id="init container is done"),
    ],
)
def test_an_ordinary_end_is_no_evidence(pod: Json, *, is_winding_down: bool) -> None:
    assert find_end(STEP, [read_pod(pod)], is_winding_down=is_winding_down) is None


def test_a_known_cause_explains_more_than_an_exit_code_and_the_head_more_than_a_worker() -> None:
    crash = make_pod(state=make_end(1, at="2026-01-01T00:00:01Z"))
    oom = make_pod("worker", state=make_end(137, "OOMKilled", at="2026-01-01T00:00:09Z"))
    lost = make_pod(conditions=make_disruption("DeletionByTaintManager"))
    pods = [read_pod(pod) for pod in (crash, oom)]
    seen = find_end(STEP, pods, is_winding_down=False)
    assert seen is not None
    assert seen.failure.reason == EvidenceReason.OUT_OF_MEMORY
    of_head = find_end(STEP, [*pods, read_pod(lost)], is_winding_down=False)
    assert of_head is not None
    assert of_head.node_type == NodeType.HEAD
    assert more_telling(seen, of_head) == of_head
    assert more_telling(of_head, seen) == of_head


def test_of_two_equal_ends_the_first_is_told_and_kept() -> None:
    first = make_pod("worker", name="w-b", state=make_end(1, at="2026-01-01T00:00:01Z"))
    second = make_pod("worker", name="w-a", state=make_end(1, at="2026-01-01T00:00:02Z"))
    pods = [read_pod(second), read_pod(first)]
    seen = find_end(STEP, pods, is_winding_down=False)
    assert seen is not None
    assert "w-b" in seen.failure.message
    later = find_end(STEP, [read_pod(second)], is_winding_down=False)
    assert more_telling(seen, later) == seen
    assert more_telling(None, later) == later


BLOCKERS: dict[str, tuple[list[Json], Json | None, str, FailureKind, str]] = {
    "no place": (
        [
            make_pod(
                phase="Pending",
                state={},
                conditions=make_unscheduled(
                    "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."
                ),
            )
        ],
        None,
        "Unschedulable",
        UNSCHEDULABLE,
        "train-small: head pod head-0: finds no place, got '0/5 nodes are available: 5 Insufficient nvidia.com/gpu.'; free or add what is missing, or ask for less",
    ),
    "no image": (
        [make_pod(phase="Pending", state=make_wait("ImagePullBackOff", "Back-off pulling"))],
        None,
        "ImagePullFailed",
        OWN,
        "train-small: head pod head-0: can't get image registry/distillery:1, got ImagePullBackOff; see spec.runtime.image and the pull secrets",
    ),
    "no secret": (
        [
            make_pod(
                phase="Pending",
                state=make_wait("CreateContainerConfigError", 'secret "s3" not found'),
            )
        ],
        None,
        "ContainerConfigInvalid",
        OWN,
        "train-small: head pod head-0: can't be set up, got CreateContainerConfigError 'secret \"s3\" not found'; make what is missing, or see spec.credentials",
    ),
    "quota": (
        [],
        make_cluster(
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreateHeadPod",
                "message": 'pods "x" is forbidden: exceeded quota: gpus',
            }
        ),
        "Unschedulable",
        UNSCHEDULABLE,
        "train-small: its pods are refused, got 'pods \"x\" is forbidden: exceeded quota: gpus'; wait for or raise the quota",
    ),
    "policy": (
        [],
        make_cluster(
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreateHeadPod",
                "message": 'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
            }
        ),
        "PodRefused",
        OWN,
        'train-small: its pods are refused, got \'pods "x" is forbidden: violates PodSecurity "restricted:latest"\'; see spec.runtime',
    ),
}


@pytest.mark.parametrize("name", BLOCKERS)
@pytest.mark.parametrize("project", [False, True], ids=["whole", "projected"])
def test_what_keeps_pods_from_starting_is_named(name: str, *, project: bool) -> None:
    pods, cluster, want_reason, want_kind, want_message = BLOCKERS[name]
    if project:
        pods = [project_pod(pod) for pod in pods]
        cluster = project_ray_cluster(cluster) if cluster else None
    found = find_blocker(STEP, [read_pod(pod) for pod in pods], cluster)
    assert found == Failure(
        reason=want_reason, kind=want_kind, retriable=True, message=want_message
    )


def test_nothing_keeps_a_pod_that_runs_or_is_gone() -> None:
    waits = make_wait("ImagePullBackOff")
    pods = [make_pod(), make_pod("worker", phase="Pending", state=waits, deleted=True)]
    assert find_blocker(STEP, [read_pod(pod) for pod in pods], make_cluster()) is None


RAY_JOBS: dict[str, tuple[Json, str, bool, FailureKind, str]] = {
    "refused": (
        make_ray_job("ValidationFailed", "", reason="ValidationFailed", message="name is too long"),
        "ChildInvalid",
        False,
        OWN,
        f"train-small: RayJob {NAME}: is refused by KubeRay, got 'name is too long'; see spec.runtime and KubeRay's version",
    ),
    "too long": (
        make_ray_job("Failed", reason="DeadlineExceeded"),
        "DeadlineExceeded",
        True,
        OWN,
        "train-small: ran longer than an attempt may, got a limit of 7200 s; raise spec.runtime.stepDeadlineSeconds",
    ),
    "never ran": (
        make_ray_job("Failed", "", reason="PreRunningDeadlineExceeded"),
        "Unschedulable",
        True,
        UNSCHEDULABLE,
        "train-small: its pods were not all running in time, got a limit of 1800 s; see the pods' events, or raise spec.runtime.unschedulableSeconds",
    ),
    "not submitted": (
        make_ray_job(
            "Failed",
            "",
            reason="SubmissionFailed",
            message="Job submission has failed. Reason: BackoffLimitExceeded.",
        ),
        "SubmissionFailed",
        True,
        OWN,
        f"train-small: RayJob {NAME}: its submitter failed, got 'Job submission has failed. Reason: BackoffLimitExceeded.'; see the log of the submitter's pod",
    ),
    "unreachable": (
        make_ray_job(
            "Failed", reason="JobStatusCheckTimeoutExceeded", message="exceeded timeout of 300s"
        ),
        "HeadLost",
        True,
        OWN,
        f"train-small: RayJob {NAME}: its Ray head no longer answers KubeRay, got 'exceeded timeout of 300s'; see the head's log and the network policies",
    ),
    "killed": (
        make_ray_job("Failed", "FAILED", reason="AppFailed", message="exit code -9"),
        "DriverDied",
        True,
        OWN,
        "train-small: its process ended without a word of its own, got FAILED 'exit code -9'; see its log; out of memory is the usual cause",
    ),
    "no end": (
        make_ray_job("Failed", "FAILED", reason="JobDeploymentStatusTransitionGracePeriodExceeded"),
        "DriverDied",
        True,
        OWN,
        "train-small: its process ended without a word of its own, got FAILED 'JobDeploymentStatusTransitionGracePeriodExceeded'; see its log; out of memory is the usual cause",
    ),
    "no reason": (
        make_ray_job("Failed", ""),
        "DriverDied",
        True,
        OWN,
        "train-small: its process ended without a word of its own, got Failed; see its log; out of memory is the usual cause",
    ),
}


@pytest.mark.parametrize("name", RAY_JOBS)
@pytest.mark.parametrize("project", [False, True], ids=["whole", "projected"])
def test_kuberays_reason_is_told(name: str, *, project: bool) -> None:
    raw, want_reason, want_retriable, want_kind, want_message = RAY_JOBS[name]
    ray_job = read_ray_job(project_ray_job(raw) if project else raw)
    assert failure_of_ray_job(STEP, ray_job, blocker=None) == Failure(
        reason=want_reason, kind=want_kind, retriable=want_retriable, message=want_message
    )


def test_an_attempt_that_never_ran_failed_by_what_kept_its_pods() -> None:
    blocker = Failure(reason="ImagePullFailed", message="no image", retriable=True)
    ray_job = read_ray_job(make_ray_job("Failed", "", reason="PreRunningDeadlineExceeded"))
    assert failure_of_ray_job(STEP, ray_job, blocker=blocker) == blocker


def test_long_words_of_others_are_cut_and_the_way_out_is_kept() -> None:
    message = phrase("p" * 300, "is wrong", got="g" * 300, way_out="do this")
    assert len(message) == MAX_MESSAGE_CHARS
    assert message.endswith("g...; do this")
    assert phrase("p", "is wrong", got="a\n b", way_out="do") == "p: is wrong, got a b; do"


def test_projections_drop_templates_and_keep_what_is_read() -> None:
    ray_job = project_ray_job(make_ray_job(queue="gpus"))
    assert "rayClusterSpec" not in ray_job["spec"]
    assert read_ray_job(ray_job) == read_ray_job(make_ray_job(queue="gpus"))
    pod = make_pod(podIPs=[{"ip": "10.0.0.1"}])
    assert project_pod(pod)["status"].keys() == {
        "phase",
        "containerStatuses",
        "initContainerStatuses",
        "conditions",
    }
    assert project_pod(pod)["spec"]["containers"][0] == {
        "name": "ray-main",
        "image": "registry/distillery:1",
        "resources": {"limits": {"memory": "16Gi"}},
    }


def test_known_causes_rank_before_bare_errors_and_the_submitter_last() -> None:
    failure = Failure(reason="r", message="m", retriable=True)
    kinds = [
        (NodeType.HEAD, False),
        (NodeType.WORKER, False),
        (NodeType.HEAD, True),
        (NodeType.WORKER, True),
        (NodeType.SUBMITTER, False),
    ]
    seen = [Sighting(node_type=kind, failure=failure, is_bare=bare).rank for kind, bare in kinds]
    assert seen == [0, 1, 2, 3, 4]
