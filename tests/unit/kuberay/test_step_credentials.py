"""Which secrets reach which steps, and how."""

from typing import Any

import pytest

from controller.launchers.kuberay.problems import find_runtime_problems
from distillery.steps import CURATE, GENERATE, PREPARE, PUBLISH, Step, evaluate_step, train_step
from tests.unit.kuberay.launches import (
    GPU_CHANGES,
    INSTALLATION,
    groups_of,
    head_of,
    make_cluster_job,
    mounts_of,
    ray_job_of,
    templates_of,
    variables_of,
    volumes_of,
)

DIR = "/var/run/distillery/credentials"
BUCKET = {"name": "bucket", "kind": "S3", "secretRef": {"name": "s3-secret"}}
HUB = {"name": "hub", "kind": "HuggingFace", "secretRef": {"name": "hf-secret"}}
TRAIN, EVALUATE = train_step("small"), evaluate_step("small")
STEPS = [PREPARE, GENERATE, CURATE, TRAIN, EVALUATE, PUBLISH]
BOTH: dict[str, Any] = {"credentials": [BUCKET, HUB]}
OF_STORAGE = BOTH | {"storage__credentialsRef": "bucket"}
OF_TEACHER = BOTH | {"teacher__model__credentialsRef": "hub"}
OF_STUDENT = BOTH | {"students__0__model__credentialsRef": "hub"}
HUB_DATA = BOTH | {"dataset__train__uri": "hf://datasets/openai/gsm8k"}


def secrets_of(ray_job: dict[str, Any]) -> set[str]:
    """The secrets a step's head may read."""
    source = volumes_of(head_of(ray_job)).get("credentials", {"projected": {"sources": []}})
    return {each["secret"]["name"] for each in source["projected"]["sources"]}


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(OF_STORAGE, {step: {"s3-secret"} for step in STEPS}, id="storage"),
        pytest.param(OF_TEACHER, {PREPARE: {"hf-secret"}, GENERATE: {"hf-secret"}}, id="teacher"),
        pytest.param(
            OF_STUDENT,
            {step: {"hf-secret"} for step in (PREPARE, TRAIN, EVALUATE, PUBLISH)},
            id="student",
        ),
        pytest.param(HUB_DATA, {PREPARE: {"hf-secret"}}, id="hub data"),
        pytest.param(BOTH, {}, id="unused"),
    ],
)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_secret_reaches_only_the_steps_that_need_it(
    changes: dict[str, Any], want: dict[Step, set[str]], step: Step
) -> None:
    assert secrets_of(ray_job_of(step, **changes)) == want.get(step, set())


def test_secrets_are_projected_as_files_for_the_owner_alone() -> None:
    ray_job = ray_job_of(GENERATE, **OF_STORAGE, teacher__model__credentialsRef="hub")
    assert volumes_of(head_of(ray_job))["credentials"] == {
        "projected": {
            "defaultMode": 0o400,
            "sources": [
                {
                    "secret": {
                        "name": "s3-secret",
                        "items": [
                            {"key": "AWS_ACCESS_KEY_ID", "path": "bucket/AWS_ACCESS_KEY_ID"},
                            {
                                "key": "AWS_SECRET_ACCESS_KEY",
                                "path": "bucket/AWS_SECRET_ACCESS_KEY",
                            },
                        ],
                        "optional": False,
                    }
                },
                {
                    "secret": {
                        "name": "s3-secret",
                        "items": [{"key": "AWS_SESSION_TOKEN", "path": "bucket/AWS_SESSION_TOKEN"}],
                        "optional": True,
                    }
                },
                {
                    "secret": {
                        "name": "hf-secret",
                        "items": [{"key": "HF_TOKEN", "path": "hub/HF_TOKEN"}],
                        "optional": False,
                    }
                },
            ],
        }
    }


def test_containers_are_told_where_their_credentials_are() -> None:
    ray_job = ray_job_of(
        GENERATE, **(OF_STORAGE | GPU_CHANGES), teacher__model__credentialsRef="hub"
    )
    for template in (head_of(ray_job), groups_of(ray_job)[0]["template"]):
        for container in template["spec"]["containers"]:
            variables = variables_of(container)
            assert variables["DISTILLERY_CREDENTIALS_DIR"] == DIR
            assert variables["HF_TOKEN_PATH"] == f"{DIR}/hub/HF_TOKEN"
            assert mounts_of(container)[DIR] == "credentials"


def test_a_step_without_credentials_has_no_trace_of_them() -> None:
    for template in templates_of(ray_job_of(CURATE, **OF_TEACHER)):
        assert "credentials" not in volumes_of(template)
        for container in template["spec"]["containers"]:
            assert not {"DISTILLERY_CREDENTIALS_DIR", "HF_TOKEN_PATH"} & set(
                variables_of(container)
            )


def test_the_submitter_never_gets_credentials() -> None:
    submitter = ray_job_of(PREPARE, **OF_STORAGE)["spec"]["submitterPodTemplate"]
    assert volumes_of(submitter) == {"tmp": {"emptyDir": {"sizeLimit": "128Mi"}}}


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (
            {"storage__credentialsRef": "bucket"},
            "spec.storage.credentialsRef: names no credential, got bucket; add it to spec.credentials",
        ),
        (
            {"teacher__model__credentialsRef": "x"},
            "spec.teacher.model.credentialsRef: names no credential, got x; add it to spec.credentials",
        ),
        (
            BOTH | {"students__0__model__credentialsRef": "bucket"},
            "spec.students[0].model.credentialsRef: must name a credential of kind HuggingFace, got bucket (S3); name another",
        ),
        (
            BOTH | {"storage__credentialsRef": "hub"},
            "spec.storage.credentialsRef: must name a credential of kind S3, got hub (HuggingFace); name another",
        ),
        (
            {"credentials": [BUCKET, BUCKET]},
            "spec.credentials[1].name: must differ from the others, got bucket; rename or remove it",
        ),
        (
            {"credentials": [HUB, HUB | {"name": "hub2"}]},
            "spec.credentials: may hold one of kind HuggingFace, got hub, hub2; use one token that may read all models",
        ),
    ],
)
def test_credentials_that_cannot_be_used_are_refused(changes: dict[str, Any], want: str) -> None:
    problems = find_runtime_problems(make_cluster_job(**changes), INSTALLATION)
    assert [str(problem) for problem in problems] == [want]
