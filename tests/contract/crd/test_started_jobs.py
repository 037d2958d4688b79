"""What a job that has started may change, and what not."""

from typing import Any

import pytest

from distillery.status import JobStatus, RuntimeStatus
from tests.builders import make_document
from tests.contract.crd.cases import ALLOWED_CHANGES, CHANGES, FIXED_MESSAGE, HUB
from tests.contract.crd.subject import Jobs

pytestmark = pytest.mark.controlplane

STARTED = JobStatus(
    runtime=RuntimeStatus(image="registry.example/ray:1", ray_version="2.60.0", config_version=1)
).dump()


def make_started(jobs: Jobs) -> dict[str, Any]:
    return jobs.set_status(jobs.create(make_document()), STARTED)


def changed(job: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The stored job with the specification of a document with ``changes``."""
    return {**job, "spec": make_document(**changes)["spec"]}


def test_a_job_that_has_not_started_may_change_all(jobs: Jobs) -> None:
    job = jobs.set_status(jobs.create(make_document()), {"observedGeneration": 1})
    refusals = {
        path: jobs.refusal_of_change(changed(job, changes)) for path, changes in CHANGES.items()
    }
    assert refusals == dict.fromkeys(CHANGES)


def test_a_started_job_keeps_what_was_used(jobs: Jobs) -> None:
    job = make_started(jobs)
    for path, changes in CHANGES.items():
        refusal = jobs.refusal_of_change(changed(job, changes))
        assert refusal is not None, path
        ((where, message),) = refusal.causes
        assert where == path
        assert message.endswith(f": {FIXED_MESSAGE}")


def test_a_started_job_may_change_the_rest(jobs: Jobs) -> None:
    job = make_started(jobs)
    refusals = {
        path: jobs.refusal_of_change(changed(job, changes))
        for path, changes in ALLOWED_CHANGES.items()
    }
    assert refusals == dict.fromkeys(ALLOWED_CHANGES)


def test_a_started_job_can_be_applied_again_as_it_was_written(jobs: Jobs) -> None:
    assert jobs.refusal_of_change(changed(make_started(jobs), {})) is None


def test_a_field_left_away_in_a_started_job_counts_as_a_change(jobs: Jobs) -> None:
    created = jobs.create(make_document(credentials=[HUB], evaluation__maxTokens=8))
    refusal = jobs.refusal_of_change(changed(jobs.set_status(created, STARTED), {}))
    assert refusal is not None
    assert sorted(where for where, _ in refusal.causes) == [
        "spec.credentials",
        "spec.evaluation.maxTokens",
    ]


def test_a_started_job_whose_status_is_lost_may_change_again(jobs: Jobs) -> None:
    job = jobs.set_status(make_started(jobs), {})
    assert jobs.refusal_of_change(changed(job, CHANGES["spec.task"])) is None


def test_the_status_of_a_started_job_may_change(jobs: Jobs) -> None:
    job = make_started(jobs)
    for suspended in (True, False):
        status = {"runtime": {**STARTED["runtime"], "suspended": suspended}}
        job = jobs.set_status(job, status)
        assert job["status"] == status
