"""A real API server accepts the CRD, its rules accept what is right and name what is wrong."""

import copy
from typing import Any

import pytest

from tests.builders import make_document
from tests.contract.crd.cases import ALL_CASES, HUB, Case, accepted_job, refused_job
from tests.contract.crd.subject import Jobs

pytestmark = pytest.mark.controlplane


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.id)
def test_a_rule_accepts_what_is_right(dry_jobs: Jobs, case: Case) -> None:
    assert dry_jobs.refusal_of_new(accepted_job(case)) is None


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.id)
def test_a_rule_names_field_and_fault(dry_jobs: Jobs, case: Case) -> None:
    refusal = dry_jobs.refusal_of_new(refused_job(case))
    assert refusal is not None
    ((where, message),) = refusal.causes
    assert where == case.want_field
    assert message.endswith(f": {case.want_message}")


@pytest.mark.parametrize("name", ["a", "a-1", "a" * 63])
def test_a_legal_name_is_accepted(dry_jobs: Jobs, name: str) -> None:
    document = make_document()
    document["metadata"]["name"] = name
    assert dry_jobs.refusal_of_new(document) is None


def test_a_name_made_by_the_api_server_is_judged_too(dry_jobs: Jobs) -> None:
    document = make_document()
    document["metadata"] = {"generateName": "sums-"}
    assert dry_jobs.refusal_of_new(document) is None
    document["metadata"] = {"generateName": "1-"}
    refusal = dry_jobs.refusal_of_new(document)
    assert refusal is not None
    assert [where for where, _ in refusal.causes] == ["metadata.name"]


@pytest.mark.parametrize("name", ["1a", "a.b", "a" * 64])
def test_a_name_its_objects_could_not_have_is_refused(dry_jobs: Jobs, name: str) -> None:
    document = make_document()
    document["metadata"]["name"] = name
    refusal = dry_jobs.refusal_of_new(document)
    assert refusal is not None
    ((where, message),) = refusal.causes
    assert where == "metadata.name"
    assert message.endswith(
        f": is no legal name, got {name}; use lower-case letters, digits and -, starting with a "
        "letter, at most 63"
    )


def with_students(number: int) -> dict[str, Any]:
    document = make_document()
    (student,) = document["spec"]["students"]
    document["spec"]["students"] = [
        {**copy.deepcopy(student), "name": f"small-{index}"} for index in range(number)
    ]
    return document


@pytest.mark.parametrize(
    ("document", "want_field", "want_words"),
    [
        (make_document(task="POETRY"), "spec.task", 'Unsupported value: "POETRY"'),
        (make_document(task=...), "spec.task", "Required value"),
        (make_document(dataset__test=...), "spec.dataset.test", "Required value"),
        (
            make_document(teacher__sampling__temperature=2.5),
            "spec.teacher.sampling.temperature",
            "should be less than or equal to 2",
        ),
        (
            make_document(teacher__sampling__topP=0),
            "spec.teacher.sampling.topP",
            "should be greater than 0",
        ),
        (
            make_document(teacher__sampling__maxTokens=0),
            "spec.teacher.sampling.maxTokens",
            "should be greater than or equal to 1",
        ),
        (
            make_document(teacher__sampling__maxTokens="many"),
            "spec.teacher.sampling.maxTokens",
            "must be of type integer",
        ),
        (
            make_document(teacher__model__date="today"),
            "spec.teacher.model.date",
            "should match",
        ),
        (make_document(teacher__engine={}), "spec.teacher.engine.type", "Required value"),
        (
            make_document(teacher__engine={"type": "openai"}),
            "spec.teacher.engine.type",
            'Unsupported value: "openai"',
        ),
        (
            make_document(students__0__name="Small"),
            "spec.students[0].name",
            "should match",
        ),
        (make_document(students=[]), "spec.students", "should have at least 1 items"),
        (with_students(17), "spec.students", "must have at most 16 items"),
        (
            make_document(students__0__seeds=list(range(11))),
            "spec.students[0].seeds",
            "must have at most 10 items",
        ),
        (make_document(storage__uri="s" * 1025), "spec.storage.uri", "may not be more than 1024"),
        (make_document(storage__uri=""), "spec.storage.uri", "should be at least 1 chars long"),
        (
            make_document(students__0__seeds=[1, 1]),
            "spec.students[0].seeds[1]",
            "Duplicate value: 1",
        ),
        (
            make_document(students__0__arms=["Vanilla", "Vanilla"]),
            "spec.students[0].arms[1]",
            'Duplicate value: "Vanilla"',
        ),
        (
            make_document(teacher__prompts=["Vanilla", "Vanilla"]),
            "spec.teacher.prompts[1]",
            'Duplicate value: "Vanilla"',
        ),
        (
            make_document(students=[make_document()["spec"]["students"][0]] * 2),
            "spec.students[1]",
            'Duplicate value: {"name":"small"}',
        ),
        (
            make_document(credentials=[HUB, {**HUB, "kind": "S3"}]),
            "spec.credentials[1]",
            'Duplicate value: {"name":"hub"}',
        ),
    ],
)
def test_a_value_out_of_bounds_is_refused(
    dry_jobs: Jobs, document: dict[str, Any], want_field: str, want_words: str
) -> None:
    refusal = dry_jobs.refusal_of_new(document)
    assert refusal is not None
    assert refusal.code == 422
    assert [message for where, message in refusal.causes if where == want_field] != []
    assert want_words in refusal.message


def test_as_many_students_as_the_bound_says_are_accepted(dry_jobs: Jobs) -> None:
    assert dry_jobs.refusal_of_new(with_students(16)) is None
