"""The pages that probes and Prometheus read."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from controller.kube.api import Json
from controller.operator.health import HealthServer
from controller.operator.metrics import ControllerMetrics, JobsCollector, job_state
from controller.runtime.workers import Result
from tests.builders import make_document

WRONG = {"reason": ""}


def make_resource(status: dict, **changes: object) -> Json:
    document = make_document(**changes)
    document["metadata"] |= {"namespace": "a", "uid": "u", "resourceVersion": "1"}
    return {**document, "status": status}


def make_conditions(**statuses: str) -> dict:
    return {"conditions": [{"type": kind, "status": value} for kind, value in statuses.items()]}


RUNNING = {
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Valid",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "stages": [
        {
            "stage": "generate",
            "state": "Running",
            "attempt": 1,
            "progress": {"done": 5, "total": 10, "rejected": 1, "tokensPerSecond": 99.5},
        }
    ],
}


@pytest.fixture
def server() -> Iterator[HealthServer]:
    registry = CollectorRegistry()
    metrics = ControllerMetrics(registry)
    metrics.reconciled(Result.SUCCESS, 0.01)
    metrics.reconciled(Result.ERROR, 0.01)
    metrics.added()
    metrics.depth_changed(3)
    metrics.leads(is_leading=True)
    registry.register(JobsCollector(lambda: [make_resource(RUNNING), make_resource({})]))
    server = HealthServer(
        ("127.0.0.1", 0),
        registry=registry,
        live=lambda: "",
        ready=lambda: WRONG["reason"],
    )
    server.start()
    yield server
    server.stop()


def fetch(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_readyz_says_what_is_missing_until_it_is_there(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WRONG, "reason", "caches are being filled: rayjobs")
    assert fetch(server, "/readyz") == (503, "caches are being filled: rayjobs\n")
    monkeypatch.setitem(WRONG, "reason", "")
    assert fetch(server, "/readyz") == (200, "ok\n")
    assert fetch(server, "/healthz") == (200, "ok\n")
    assert fetch(server, "/other")[0] == 404


def test_metrics_bear_the_names_people_have_dashboards_for(server: HealthServer) -> None:
    text = fetch(server, "/metrics")[1]
    for line in (
        'controller_runtime_reconcile_total{controller="distillationjob",result="success"} 1.0',
        'controller_runtime_reconcile_errors_total{controller="distillationjob"} 1.0',
        'workqueue_depth{name="distillationjob"} 3.0',
        'workqueue_adds_total{name="distillationjob"} 1.0',
        'leader_election_master_status{name="distillery-controller"} 1.0',
        'distillery_jobs{state="running"} 1.0',
        'distillery_jobs{state="new"} 1.0',
        'distillery_step_done{job="sums",namespace="a",step="generate",unit="rows"} 5.0',
        'distillery_step_tokens_per_second{job="sums",namespace="a",step="generate"} 99.5',
    ):
        assert line in text


@pytest.mark.parametrize(
    ("status", "want_state"),
    [
        ({}, "new"),
        (make_conditions(Accepted="False", Finished="True"), "refused"),
        (make_conditions(Accepted="True", Finished="True", Succeeded="True"), "succeeded"),
        (make_conditions(Accepted="True", Finished="True", Succeeded="False"), "failed"),
        (make_conditions(Accepted="True", Finished="False"), "waiting"),
        (RUNNING, "running"),
    ],
)
def test_a_jobs_state_is_told_in_a_word(status: dict, want_state: str) -> None:
    assert job_state(make_resource(status)) == want_state


def test_a_job_that_is_to_stand_still_is_suspended() -> None:
    assert job_state(make_resource(RUNNING, suspend=True)) == "suspended"
