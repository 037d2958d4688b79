"""Each rule has its cases, and says what ``distillery validate`` says."""

from typing import Any

import pytest

from distillery.crd.definition import build_schema
from distillery.crd.immutability import MUTABLE, fixed_paths
from distillery.crd.places import find_place, iter_places
from distillery.spec.job import DistillationJob
from distillery.validation.rules import find_problems
from tests.contract.crd.cases import (
    ALL_CASES,
    ALLOWED_CHANGES,
    CHANGES,
    OBJECT_CASES,
    Case,
    accepted_job,
    refused_job,
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_schema()


def test_every_rule_has_a_case(schema: dict[str, Any]) -> None:
    """Those at the root are the name's and those of a started job, which have tests of their own."""
    ruled = {
        f"{path}{rule['fieldPath']}"
        for path, place in iter_places(schema)
        for rule in place.get("x-kubernetes-validations", ())
    }
    assert {case.want_field.replace("[0]", "[]") for case in ALL_CASES} == ruled


def test_every_fixed_and_every_free_field_has_a_change(schema: dict[str, Any]) -> None:
    assert tuple(CHANGES) == fixed_paths(schema)
    assert tuple(ALLOWED_CHANGES) == MUTABLE


@pytest.mark.parametrize("case", OBJECT_CASES, ids=lambda case: case.id)
def test_a_rule_says_what_validate_says(case: Case) -> None:
    said = find_problems(DistillationJob.model_validate(refused_job(case)))
    found = [problem for problem in said if problem.message == case.want_message]
    assert len(found) == 1
    assert found[0].path.startswith(case.want_field)


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.id)
def test_what_a_rule_accepts_validate_does_not_complain_of(case: Case) -> None:
    said = find_problems(DistillationJob.model_validate(accepted_job(case)))
    assert [problem for problem in said if problem.path.startswith(case.want_field)] == []


def test_each_rule_stands_where_its_words_are(schema: dict[str, Any]) -> None:
    for case in ALL_CASES:
        assert find_place(schema, case.want_field.replace("[0]", "[]"))
