"""What we rely on of KubeRay: the same cases on the double and on the real operator."""

import re

import pytest

from controller.kube.api import Json
from controller.kube.resources import PODS, RAY_CLUSTERS, RAY_JOBS, SECRETS, Resource
from tests.contract.kuberay_operator.conftest import Child, Make, wait
from tests.doubles.api_kinds import BATCH_JOBS, SERVICES
from tests.doubles.kuberay.behaviour import Behaviour, DriverEnd, PodFate
from tests.doubles.kuberay.fates import crashed, deleted, unschedulable

pytestmark = pytest.mark.controlplane

QUOTAS = Resource(group="", version="v1", plural="resourcequotas", kind="ResourceQuota")
SUFFIX = r"-[a-z0-9]{5}"


def with_fate(fate: PodFate) -> Behaviour:
    """A driver that runs for ever but for what befalls a pod."""
    return Behaviour(end=DriverEnd.NEVER, fates=(fate,))


def names(objects: list[Json]) -> list[str]:
    """Their names."""
    return sorted(each["metadata"]["name"] for each in objects)


def pods_of(child: Child, node_type: str) -> list[Json]:
    """The RayJob's head or worker pods."""
    return child.of(PODS, f"ray.io/node-type={node_type}")


def condition(raw: Json, kind: str) -> Json:
    """A condition; empty where there is none."""
    conditions: list[Json] = (raw.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def test_a_running_ray_job_has_its_cluster_pods_services_token_and_submitter(
    make_child: Make,
) -> None:
    child = make_child("whole", workers=2)
    status = child.until("Running")
    cluster = status["rayClusterName"]
    assert re.fullmatch(f"whole{SUFFIX}", cluster)
    assert status["jobId"] == "whole"
    address = f"{cluster}-head-svc.{child.namespace}.svc.cluster.local:8265"
    assert status["dashboardURL"] == address
    wait(lambda: len(child.of(SERVICES)) == 2)
    assert names(child.of(SERVICES)) == sorted([f"{cluster}-head-svc", "whole-head-svc"])
    assert {each["spec"]["clusterIP"] for each in child.of(SERVICES)} == {"None"}
    (raw,) = child.of(RAY_CLUSTERS)
    assert (raw["metadata"]["name"], raw["status"]["state"]) == (cluster, "ready")
    assert cluster in names(child.of(SECRETS))
    assert names(child.of(BATCH_JOBS)) == ["whole"]
    (head,) = pods_of(child, "head")
    assert re.fullmatch(f"{cluster}-head{SUFFIX}", head["metadata"]["name"])
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
    workers = pods_of(child, "worker")
    assert [each["metadata"]["labels"]["ray.io/group"] for each in workers] == ["trainers"] * 2
    assert re.fullmatch(f"{cluster}-trainers-worker{SUFFIX}", workers[0]["metadata"]["name"])
    (init,) = workers[0]["spec"]["initContainers"]
    assert init["name"] == "wait-gcs-ready"


def test_children_say_whose_they_are(make_child: Make) -> None:
    child = make_child("owned")
    child.until("Running")
    (cluster,) = child.of(RAY_CLUSTERS)
    (head,) = pods_of(child, "head")
    (submitter,) = child.of(BATCH_JOBS)
    assert cluster["metadata"]["labels"]["ray.io/originated-from-cr-name"] == "owned"
    assert cluster["metadata"]["labels"]["distillery.dev/job"] == "sums"
    assert submitter["metadata"]["labels"]["ray.io/originated-from-cr-name"] == "owned"
    owners = [each["metadata"]["ownerReferences"][0] for each in (cluster, submitter, head)]
    assert [each["kind"] for each in owners] == ["RayJob", "RayJob", "RayCluster"]
    wait(lambda: bool(child.of(PODS, "ray.io/originated-from-cr-name=owned")))
    (pod,) = child.of(PODS, "ray.io/originated-from-cr-name=owned")
    assert pod["metadata"]["labels"]["distillery.dev/attempt"] == "1"
    assert "ray.io/node-type" not in pod["metadata"]["labels"]


def test_a_name_that_is_too_long_is_refused(make_child: Make) -> None:
    child = make_child("a" * 48)
    status = child.until("ValidationFailed")
    assert status["reason"] == "ValidationFailed"
    assert "RayJob name should be no more than 47 characters" in status["message"]
    assert child.of(RAY_CLUSTERS) == []


def test_a_ray_job_past_its_deadline_fails_and_its_cluster_goes(make_child: Make) -> None:
    child = make_child("late", activeDeadlineSeconds=20)
    status = child.until("Failed")
    assert status["reason"] == "DeadlineExceeded"
    assert status["message"].startswith("The RayJob has passed the activeDeadlineSeconds")
    wait(lambda: not child.of(RAY_CLUSTERS))
    assert names(child.of(BATCH_JOBS)) == ["late"]


def test_a_ray_job_without_a_place_fails_before_it_runs(make_child: Make) -> None:
    child = make_child("placeless", script=with_fate(unschedulable()), preRunningDeadlineSeconds=5)
    status = child.until("Failed")
    assert status["reason"] == "PreRunningDeadlineExceeded"
    assert not status.get("jobStatus")
    assert child.of(BATCH_JOBS) == []
    wait(lambda: not child.of(RAY_CLUSTERS))


def test_a_suspended_ray_job_loses_everything_and_comes_back_anew(make_child: Make) -> None:
    child = make_child("kueued")
    first = child.until("Running")
    suspend(child, is_suspended=True)
    status = child.until("Suspended")
    assert not status.get("rayClusterName")
    assert not status.get("jobId")
    assert (child.of(RAY_CLUSTERS), child.of(BATCH_JOBS)) == ([], [])
    suspend(child, is_suspended=False)
    again = child.until("Running")
    assert again["jobId"] == first["jobId"]
    assert again["rayClusterName"] != first["rayClusterName"]


def test_a_ray_job_made_suspended_starts_nothing(make_child: Make) -> None:
    child = make_child("held", suspend=True)
    child.until("Suspended")
    assert (child.of(RAY_CLUSTERS), child.of(PODS)) == ([], [])


@pytest.mark.parametrize(
    ("name", "fate"), [("crashes", crashed(after_s=2.0)), ("deleted", deleted(after_s=2.0))]
)
def test_a_lost_head_stays_lost_and_the_ray_job_goes_on_saying_running(
    make_child: Make, name: str, fate: PodFate
) -> None:
    child = make_child(name, script=with_fate(fate))
    child.until("Running")
    wait(lambda: not pods_of(child, "head"))
    (cluster,) = child.of(RAY_CLUSTERS)
    wait(lambda: condition(child.of(RAY_CLUSTERS)[0], "HeadPodReady").get("status") == "False")
    assert condition(cluster, "RayClusterProvisioned")["status"] == "True"
    assert pods_of(child, "head") == []
    assert child.status()["jobDeploymentStatus"] == "Running"


def test_a_lost_worker_comes_again(make_child: Make) -> None:
    script = with_fate(crashed("worker", after_s=2.0))
    child = make_child("workers", script=script, workers=1)
    child.until("Running")
    (first,) = names(pods_of(child, "worker"))
    wait(lambda: names(pods_of(child, "worker")) not in ([], [first]))
    assert child.status()["jobDeploymentStatus"] == "Running"


def test_pods_that_a_quota_refuses_are_told_in_the_cluster(make_child: Make) -> None:
    child = make_child("quota", suspend=True)
    child.until("Suspended")
    body = {"metadata": {"name": "none", "namespace": child.namespace}}
    child.api.create(QUOTAS, {**body, "spec": {"hard": {"pods": "0"}}})
    wait(lambda: "status" in child.of(QUOTAS)[0] and "hard" in child.of(QUOTAS)[0]["status"])
    suspend(child, is_suspended=False)
    wait(lambda: bool(child.of(RAY_CLUSTERS)))
    wait(lambda: bool(condition(child.of(RAY_CLUSTERS)[0], "ReplicaFailure")))
    failure = condition(child.of(RAY_CLUSTERS)[0], "ReplicaFailure")
    assert failure["reason"] == "FailedCreateHeadPod"
    assert "exceeded quota" in failure["message"]


def test_a_deleted_ray_job_leaves_nothing(make_child: Make) -> None:
    child = make_child("gone", workers=1)
    child.until("Running")
    child.delete()
    kinds = (RAY_JOBS, RAY_CLUSTERS, PODS, SERVICES, SECRETS, BATCH_JOBS)
    wait(lambda: not any(child.of(kind) for kind in kinds))


def suspend(child: Child, *, is_suspended: bool) -> None:
    """Does what Kueue does."""
    patch = {"spec": {"suspend": is_suspended}}
    child.api.merge(RAY_JOBS, namespace=child.namespace, name=child.name, patch=patch)
