"""The double of KubeRay on the API server in memory, on a clock of its own: what was read in its
source and seen with its operator."""

import json
from random import Random

import pytest

from controller.kube.api import Json
from controller.kube.faults import ConflictError, ForbiddenError
from controller.kube.resources import (
    CONFIG_MAPS,
    PODS,
    RAY_CLUSTERS,
    RAY_JOBS,
    SECRETS,
    Resource,
)
from distillery.progress import Outcome, OutcomeState, Progress, StepRecord
from tests.doubles.api_kinds import BATCH_JOBS, SERVICES
from tests.doubles.api_server import START_S, Verb
from tests.doubles.kuberay.behaviour import (
    Behaviour,
    DriverEnd,
    PodFate,
    Said,
    Script,
    Timing,
    fails,
    hangs,
    succeeds,
)
from tests.doubles.kuberay.fates import (
    crashed,
    deleted,
    evicted,
    image_missing,
    node_shut_down,
    oom_killed,
    preempted,
    secret_missing,
    unschedulable,
)
from tests.unit.doubles.kuberay_lab import NAME, Lab, make_lab, make_ray_job


def test_a_ray_job_goes_through_its_states_in_kuberays_order_and_time() -> None:
    lab = make_lab(succeeds("train-small"))
    took_s = lab.until(lab.is_at("Complete"))
    assert lab.seen == [
        ("", ""),
        ("Initializing", ""),
        ("Running", ""),
        ("Running", "PENDING"),
        ("Running", "RUNNING"),
        ("Running", "SUCCEEDED"),
        ("Complete", "SUCCEEDED"),
    ]
    assert 55 < took_s < 80
    status = lab.status()
    assert status["jobId"] == NAME
    assert status["rayClusterName"].startswith(f"{NAME}-")
    assert len(status["rayClusterName"]) == len(NAME) + 6
    assert status["dashboardURL"] == (
        f"{status['rayClusterName']}-head-svc.default.svc.cluster.local:8265"
    )
    assert status["startTime"] == "2026-01-01T00:00:01Z"
    assert status["endTime"] > status["rayJobInfo"]["endTime"] > status["rayJobInfo"]["startTime"]
    assert (status["succeeded"], status["failed"]) == (1, 0)
    assert lab.double.faults == []


def test_it_creates_what_kuberay_creates_with_its_names_labels_and_owners() -> None:
    lab = make_lab(hangs(), workers=2)
    lab.until(lab.is_at("Running", "RUNNING"))
    cluster = lab.status()["rayClusterName"]
    assert lab.names(RAY_CLUSTERS) == [cluster]
    assert lab.names(SERVICES) == [f"{cluster}-head-svc", f"{NAME}-head-svc"]
    assert [each["spec"]["clusterIP"] for each in lab.server.objects(SERVICES)] == ["None"] * 2
    assert lab.names(BATCH_JOBS) == [NAME]
    assert lab.names(SECRETS) == [cluster]
    (head,) = lab.pods("head")
    assert head["metadata"]["name"].startswith(f"{cluster}-head-")
    assert head["metadata"]["labels"] == {
        "distillery.dev/job": "sums",
        "distillery.dev/attempt": "1",
        "ray.io/is-ray-node": "yes",
        "ray.io/cluster": cluster,
        "ray.io/node-type": "head",
        "ray.io/group": "headgroup",
        "ray.io/identifier": f"{cluster}-head",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    args = head["spec"]["containers"][0]["args"][0]
    assert args == "ulimit -n 65536; ray start --head --num-cpus=0 --block"
    workers = lab.pods("worker")
    assert [each["metadata"]["labels"]["ray.io/group"] for each in workers] == ["trainers"] * 2
    assert workers[0]["spec"]["initContainers"][0]["name"] == "wait-gcs-ready"
    (raw,) = lab.server.objects(RAY_CLUSTERS)
    assert raw["metadata"]["ownerReferences"][0]["kind"] == "RayJob"
    assert head["metadata"]["ownerReferences"][0]["uid"] == raw["metadata"]["uid"]
    assert raw["metadata"]["labels"]["ray.io/originated-from-cr-name"] == NAME
    assert raw["status"]["state"] == "ready"
    assert lab.status()["rayClusterStatus"]["availableWorkerReplicas"] == 2
    (submitter,) = [
        pod for pod in lab.pods() if "ray.io/node-type" not in pod["metadata"]["labels"]
    ]
    assert submitter["metadata"]["labels"]["ray.io/originated-from-cr-name"] == NAME
    assert "--submission-id" in submitter["spec"]["containers"][0]["args"][0]


def test_the_cluster_goes_when_the_job_is_done_and_the_submitter_stays() -> None:
    lab = make_lab(succeeds("train-small"))
    lab.until(lab.is_at("Complete"))
    lab.step(2)
    assert (lab.names(RAY_CLUSTERS), lab.pods("head")) == ([], [])
    (submitter,) = lab.pods()
    assert submitter["status"]["phase"] == "Succeeded"
    assert lab.names(BATCH_JOBS) == [NAME]


def test_the_driver_writes_records_and_its_outcome_before_it_ends() -> None:
    first = Progress(work=1, done=1, total=4)
    second = Progress(work=9, done=3, total=4)
    script = succeeds(
        "train-small",
        records=(Said(after_s=0.0, progress=first), Said(after_s=5.0, progress=second)),
    )
    lab = make_lab(script)
    lab.until(lambda: lab.record() is not None)
    assert lab.record() == StepRecord(attempt=1, submission_id=NAME, progress=first)
    lab.until(lab.is_at("Running", "SUCCEEDED"))
    assert lab.record() == StepRecord(
        attempt=1, submission_id=NAME, progress=second, outcome=script.outcome
    )


def test_a_driver_that_can_not_report_waits_with_its_end() -> None:
    lab = make_lab(succeeds("train-small"))
    lab.until(lab.is_at("Running", "RUNNING"))
    lab.server.fault = lambda verb, resource, *_: (
        ForbiddenError("no", reason="Forbidden") if resource == CONFIG_MAPS else None
    )
    lab.step(60)
    assert lab.is_at("Running", "RUNNING")()
    lab.server.fault = None
    lab.until(lab.is_at("Complete", "SUCCEEDED"))
    record = lab.record()
    assert record is not None
    assert record.outcome is not None


def test_a_failing_driver_fails_the_ray_job() -> None:
    lab = make_lab(fails("BucketMissing", retriable=False))
    lab.until(lab.is_at("Failed"))
    status = lab.status()
    assert (status["jobStatus"], status["reason"]) == ("FAILED", "AppFailed")
    assert status["message"] == "Job entrypoint command failed with exit code 1"
    record = lab.record()
    assert record is not None
    assert record.outcome == Outcome(
        state=OutcomeState.FAILED, reason="BucketMissing", message="it broke", retriable=False
    )
    lab.step(2)
    assert lab.names(RAY_CLUSTERS) == []


def test_a_driver_stopped_in_the_dashboard_completes_the_ray_job() -> None:
    lab = make_lab(Behaviour(end=DriverEnd.STOPPED))
    lab.until(lab.is_at("Complete"))
    assert lab.status()["jobStatus"] == "STOPPED"


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"name": "a" * 48}, "RayJob name should be no more than 47 characters"),
        ({"name": "1a"}, "RayJob name should be a valid DNS1035 label"),
        ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds must be a positive integer"),
        ({"suspend": True, "shutdownAfterJobFinishes": False}, "can't be suspended without"),
        ({"rayClusterSpec": None}, "one of RayClusterSpec or ClusterSelector must be set"),
    ],
)
def test_what_kuberay_refuses_is_refused_for_good(change: Json, want: str) -> None:
    lab = Lab(succeeds("train-small"))
    ray_job = make_ray_job(**change)
    if change.get("rayClusterSpec", ...) is None:
        del ray_job["spec"]["rayClusterSpec"]
    lab.apply(ray_job)
    lab.step(10)
    (refused,) = lab.server.objects(RAY_JOBS)
    assert refused["status"]["jobDeploymentStatus"] == "ValidationFailed"
    assert refused["status"]["reason"] == "ValidationFailed"
    assert want in refused["status"]["message"]
    assert lab.names(RAY_CLUSTERS) == []


def test_a_job_that_runs_too_long_is_ended_and_its_cluster_taken_down() -> None:
    lab = make_lab(hangs(), activeDeadlineSeconds=120)
    lab.until(lab.is_at("Failed"))
    status = lab.status()
    assert (status["reason"], status["jobStatus"]) == ("DeadlineExceeded", "RUNNING")
    assert lab.now_s - START_S > 120
    lab.step(2)
    assert lab.names(RAY_CLUSTERS) == []


@pytest.mark.parametrize(
    ("fate", "want"),
    [
        (unschedulable(), {"conditions": "Insufficient nvidia.com/gpu"}),
        (image_missing(), {"containerStatuses": "ImagePullBackOff"}),
        (secret_missing("s3"), {"containerStatuses": 'secret \\"s3\\" not found'}),
    ],
    ids=["no place", "no image", "no secret"],
)
def test_pods_that_never_start_end_the_job_before_it_ran(fate: PodFate, want: Json) -> None:
    lab = make_lab(Behaviour(fates=(fate,)))
    lab.step(100)
    (head,) = lab.pods("head")
    assert head["status"]["phase"] == "Pending"
    ((part, words),) = want.items()
    assert words in json.dumps(head["status"][part])
    lab.until(lab.is_at("Failed"))
    status = lab.status()
    assert status["reason"] == "PreRunningDeadlineExceeded"
    assert "jobStatus" not in status
    assert lab.now_s - START_S > 150
    lab.step(2)
    assert lab.pods() == []


def test_pods_that_find_their_place_late_run() -> None:
    good = succeeds("train-small")
    lab = make_lab(Behaviour(outcome=good.outcome, fates=(unschedulable(until_s=100.0),)))
    assert lab.until(lab.is_at("Complete")) > 100


@pytest.mark.parametrize(
    ("fate", "want_reason"),
    [
        (oom_killed(after_s=20.0), "OOMKilled"),
        (crashed(after_s=20.0, exit_code=2), "Error"),
        (evicted(after_s=20.0), "Evicted"),
        (node_shut_down(after_s=20.0), "Terminated"),
        (preempted(after_s=20.0), "PreemptionByScheduler"),
        (deleted(after_s=20.0), ""),
    ],
    ids=["oom", "crash", "evicted", "shut down", "preempted", "deleted"],
)
def test_a_lost_head_leaves_the_ray_job_running_until_kuberay_gives_up(
    fate: PodFate, want_reason: str
) -> None:
    timing = Timing(status_check_timeout_s=60.0)
    lab = make_lab(Behaviour(end=DriverEnd.NEVER, fates=(fate,)), workers=1, timing=timing)
    seen = watch_pods(lab)
    lab.until(lambda: not lab.pods("head") and bool(lab.pods("worker")))
    assert want_reason in json.dumps(seen["head"])
    lab.step(40)
    assert lab.is_at("Running", "RUNNING")()
    assert lab.pods("head") == []
    assert len(lab.pods("worker")) == 1
    assert lab.double.ray.num_starts == {NAME: 1}
    lab.until(lab.is_at("Failed"))
    assert lab.status()["reason"] == "JobStatusCheckTimeoutExceeded"


def watch_pods(lab: Lab) -> dict[str, list[Json]]:
    """Collects what is written to pods' statuses, by node type."""
    seen: dict[str, list[Json]] = {}

    def note(verb: Verb, resource: Resource, namespace: str, name: str) -> None:
        if resource == PODS and verb in (Verb.PATCH_STATUS, Verb.DELETE):
            for pod in lab.server.objects(PODS):
                kind = pod["metadata"]["labels"].get("ray.io/node-type", "submitter")
                seen.setdefault(kind, []).append(pod.get("status", {}))

    lab.server.lost_answer = note
    return seen


def test_a_head_lost_before_all_pods_ran_comes_again() -> None:
    wait = unschedulable("worker", until_s=90.0)
    good = succeeds("train-small")
    lab = make_lab(Behaviour(outcome=good.outcome, fates=(crashed(after_s=10.0), wait)), workers=1)
    heads: set[str] = set()
    while not lab.is_at("Complete")():
        lab.step()
        heads |= {pod["metadata"]["name"] for pod in lab.pods("head")}
    assert len(heads) == 2


def test_a_lost_worker_comes_again_and_the_job_goes_on() -> None:
    good = succeeds("train-small", runs_s=100.0)
    script = Behaviour(
        runs_s=100.0, outcome=good.outcome, fates=(oom_killed("worker", after_s=20.0),)
    )
    lab = make_lab(script, workers=2)
    workers: set[str] = set()
    while not lab.is_at("Complete")():
        lab.step()
        workers |= {pod["metadata"]["name"] for pod in lab.pods("worker")}
    assert len(workers) == 3


def test_a_submitter_that_always_fails_fails_the_submission() -> None:
    fates = tuple(crashed("submitter", after_s=1.0, index=index) for index in range(3))
    lab = make_lab(Behaviour(fates=fates))
    lab.until(lab.is_at("Failed"))
    assert lab.status()["reason"] == "SubmissionFailed"
    assert "BackoffLimitExceeded" in lab.status()["message"]
    assert lab.double.ray.num_starts == {}


def test_a_submitter_that_fails_once_attaches_again() -> None:
    good = succeeds("train-small", runs_s=60.0)
    script = Behaviour(
        runs_s=60.0, outcome=good.outcome, fates=(crashed("submitter", after_s=20.0),)
    )
    lab = make_lab(script)
    lab.until(lab.is_at("Complete"))
    assert lab.double.ray.num_starts == {NAME: 1}
    submitters = [pod for pod in lab.pods() if pod["metadata"]["name"].startswith(f"{NAME}-")]
    phases = [pod["status"]["phase"] for pod in submitters if pod not in lab.pods("head")]
    assert sorted(phases) == ["Failed", "Succeeded"]


def test_a_suspended_ray_job_has_nothing_left_and_resumes_with_a_new_cluster() -> None:
    lab = make_lab(succeeds("train-small", runs_s=60.0))
    lab.until(lab.is_at("Running", "RUNNING"))
    first = lab.status()["rayClusterName"]
    suspend(lab, is_suspended=True)
    lab.until(lab.is_at("Suspended"))
    assert "Suspending" in [state for state, _ in lab.seen]
    assert (lab.names(RAY_CLUSTERS), lab.names(BATCH_JOBS)) == ([], [])
    status = lab.status()
    assert "rayClusterName" not in status
    assert "jobStatus" not in status
    lab.step(2)
    assert lab.pods() == []
    lab.step(100)
    assert lab.is_at("Suspended")()
    suspend(lab, is_suspended=False)
    lab.until(lab.is_at("Complete"))
    assert lab.status()["rayClusterName"] != first
    assert lab.double.ray.num_starts == {NAME: 2}


def test_a_ray_job_that_kueue_holds_starts_nothing() -> None:
    lab = make_lab(succeeds("train-small"), suspend=True)
    lab.step(20)
    assert lab.is_at("Suspended")()
    assert lab.names(RAY_CLUSTERS) == []
    suspend(lab, is_suspended=False)
    lab.until(lab.is_at("Complete"))


def suspend(lab: Lab, *, is_suspended: bool) -> None:
    """Does what Kueue does."""
    patch = {"spec": {"suspend": is_suspended}}
    lab.server.merge(RAY_JOBS, namespace="default", name=NAME, patch=patch)


def test_a_deleted_ray_job_leaves_nothing() -> None:
    lab = make_lab(hangs(), workers=1)
    lab.until(lab.is_at("Running", "RUNNING"))
    (ray_job,) = lab.server.objects(RAY_JOBS)
    assert ray_job["metadata"]["finalizers"] == ["ray.io/rayjob-finalizer"]
    lab.server.delete(RAY_JOBS, namespace="default", name=NAME, uid=ray_job["metadata"]["uid"])
    lab.step()
    assert lab.names(RAY_JOBS) == []
    lab.step()
    for resource in (RAY_CLUSTERS, PODS, SERVICES, SECRETS, BATCH_JOBS):
        assert lab.names(resource) == []


def test_pods_linger_as_long_as_told() -> None:
    lab = make_lab(Behaviour(outcome=succeeds("train-small").outcome, pods_linger_s=30.0))
    lab.until(lab.is_at("Complete"))
    lab.step(20)
    assert lab.names(RAY_CLUSTERS) == []
    (head,) = lab.pods("head")
    assert "deletionTimestamp" in head["metadata"]
    lab.step(20)
    assert lab.pods("head") == []


def test_pods_that_a_quota_refuses_are_told_in_the_cluster() -> None:
    lab = make_lab(succeeds("train-small"))
    lab.server.fault = lambda verb, resource, *_: (
        ForbiddenError("pods are forbidden: exceeded quota: gpus", reason="Forbidden")
        if (verb, resource) == (Verb.CREATE, PODS)
        else None
    )
    lab.step(10)
    (cluster,) = lab.server.objects(RAY_CLUSTERS)
    failure = next(
        each for each in cluster["status"]["conditions"] if each["type"] == "ReplicaFailure"
    )
    assert failure["reason"] == "FailedCreateHeadPod"
    assert failure["message"] == "pods are forbidden: exceeded quota: gpus"
    lab.server.fault = None
    lab.until(lab.is_at("Complete"))


def test_a_fault_of_the_api_server_delays_and_loses_nothing() -> None:
    lab = make_lab(succeeds("train-small"), workers=1)
    chance = Random(3)

    def fault(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception | None:
        return ConflictError("changed", reason="Conflict") if chance.random() < 0.2 else None

    lab.server.fault = fault
    lab.until(lab.is_at("Complete", "SUCCEEDED"))
    assert lab.double.faults
    assert lab.double.ray.num_starts == {NAME: 1}


def test_each_ray_job_follows_its_own_script() -> None:
    def behave(ray_job: Json) -> Script:
        return hangs() if ray_job["metadata"]["name"] == "b" else succeeds("train-small")

    lab = Lab(behave)
    lab.apply(make_ray_job("a"))
    lab.apply(make_ray_job("b"))
    lab.step(200)
    found = [each["status"]["jobDeploymentStatus"] for each in lab.server.objects(RAY_JOBS)]
    assert found == ["Complete", "Running"]


def test_time_can_be_made_shorter() -> None:
    lab = Lab(succeeds("train-small"), timing=Timing().scaled(0.1))
    lab.apply(make_ray_job())
    assert lab.until(lab.is_at("Complete")) < 35


def test_nothing_happens_where_the_crd_is_missing() -> None:
    lab = Lab(succeeds("train-small"))
    lab.server.stop_serving(RAY_JOBS)
    lab.step(3)
    assert lab.double.faults == []
