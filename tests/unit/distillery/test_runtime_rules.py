"""Rules of credentials and runtime, one case a message."""

from typing import Any

import pytest

from distillery.validation.rules import find_problems, find_warnings
from distillery.validation.runtime import find_machine_warnings
from tests.builders import make_job

BUCKET = {"name": "bucket", "kind": "S3", "secretRef": {"name": "s3"}}
HUB = {"name": "hub", "kind": "HuggingFace", "secretRef": {"name": "hf"}}
S3_STORAGE = {"uri": "s3://models/distillery", "credentialsRef": "bucket"}


def test_credentials_that_are_named_and_fit_are_accepted() -> None:
    job = make_job(
        credentials=[BUCKET, HUB],
        storage=S3_STORAGE,
        teacher__model={"uri": "hf://owner/teacher", "credentialsRef": "hub"},
    )
    assert find_problems(job) == []


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (
            {"credentials": [BUCKET, BUCKET]},
            "spec.credentials[1].name: is another credential's name already, got bucket; rename one",
        ),
        (
            {"credentials": [HUB, {**HUB, "name": "other"}]},
            "spec.credentials[1].kind: a process has one hub token, got a second HuggingFace "
            "credential; remove it",
        ),
        (
            {"storage": S3_STORAGE},
            "spec.storage.credentialsRef: names no credential of kind S3, got bucket; add one to "
            "spec.credentials, kind S3",
        ),
        (
            {"credentials": [BUCKET], "storage": {**S3_STORAGE, "credentialsRef": "other"}},
            "spec.storage.credentialsRef: names no credential of kind S3, got other; use bucket",
        ),
        (
            {
                "credentials": [BUCKET],
                "students__0__model": {"uri": "hf://o/s", "credentialsRef": "bucket"},
            },
            "spec.students[0].model.credentialsRef: names no credential of kind HuggingFace, got "
            "bucket; add one to spec.credentials, kind HuggingFace",
        ),
        (
            {"runtime": {"rayTokenSecretRef": {"name": "ray"}}},
            "spec.runtime.rayTokenSecretRef: is for spec.runtime.rayAddress only, got a Secret; "
            "remove it",
        ),
        (
            {"runtime": {"rayAddress": "http://ray:8265"}, "credentials": [BUCKET]},
            "spec.credentials: can't be handed to another's Ray cluster, got rayAddress besides; "
            "storage credentials must be on that cluster already, remove them here",
        ),
        (
            {"runtime": {"rayAddress": "http://ray:8265", "queueName": "gpus"}},
            "spec.runtime.queueName: is for pods of the job's own, got rayAddress besides; remove "
            "one of the two",
        ),
    ],
    ids=[
        "a name twice",
        "two hub tokens",
        "no such credential",
        "another name",
        "another kind",
        "token without address",
        "credentials with address",
        "queue with address",
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], want: str) -> None:
    assert [str(problem) for problem in find_problems(make_job(**changes))] == [want]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (
            {"credentials": [BUCKET]},
            "spec.credentials: are Secrets of a cluster; on this machine the surroundings' "
            "credentials are used (environment, ~/.aws, hf auth login)",
        ),
        (
            {"runtime": {"image": "example.com/ray:1"}},
            "spec.runtime: is for pods of a cluster and has no effect on this machine",
        ),
        (
            {"suspend": True},
            "spec.suspend: is for a cluster and has no effect on this machine; Ctrl-C suspends a "
            "run here",
        ),
    ],
    ids=["credentials", "runtime", "suspend"],
)
def test_what_has_no_effect_on_one_machine_deserves_a_warning(
    changes: dict[str, Any], want: str
) -> None:
    job = make_job(**changes)
    assert [str(problem) for problem in find_machine_warnings(job.spec)] == [want]
    assert find_warnings(job) == []


def test_a_job_without_any_of_it_has_no_warning() -> None:
    assert find_machine_warnings(make_job().spec) == []
