"""Fields with a ``type``: one object, whose rules keep the types apart."""

from typing import Any

import pytest

from distillery.crd.definition import build_schema
from distillery.crd.places import find_place


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_schema()


@pytest.mark.parametrize(
    ("path", "want_types", "want_required"),
    [
        ("spec.teacher.engine", ["vllm", "transformers"], ["type"]),
        ("spec.evaluation.engine", ["vllm", "transformers"], ["type"]),
        ("spec.students[].method", ["lora", "full"], ["type"]),
        ("spec.runtime.modelCache", ["claim", "ephemeral"], ["type"]),
    ],
)
def test_the_type_must_be_given(
    schema: dict[str, Any], path: str, want_types: list[str], want_required: list[str]
) -> None:
    union = find_place(schema, path)
    assert sorted(union["properties"]["type"]["enum"]) == sorted(want_types)
    assert union["required"] == want_required
    assert "default" not in union["properties"]["type"]


def test_what_all_types_have_keeps_its_default(schema: dict[str, Any]) -> None:
    assert find_place(schema, "spec.teacher.engine.replicas") == {
        "description": "Engines that share the rows. No result depends on it. Default: 1.",
        "type": "integer",
        "minimum": 1,
        "maximum": 256,
        "default": 1,
    }


def test_what_one_type_has_is_not_filled_in_for_the_others(schema: dict[str, Any]) -> None:
    assert find_place(schema, "spec.teacher.engine.maxNumSeqs") == {
        "description": "Type vllm only. Most requests in flight in one replica. Default: 64.",
        "type": "integer",
        "minimum": 1,
        "maximum": 4096,
    }


def test_a_field_of_another_type_is_refused(schema: dict[str, Any]) -> None:
    assert find_place(schema, "spec.students[].method")["x-kubernetes-validations"] == [
        {
            "rule": f"!has(self.{name}) || self.type == 'lora'",
            "messageExpression": "'is for type lora only, got type %s; remove it'"
            ".format([self.type])",
            "fieldPath": f".{name}",
        }
        for name in ("rank", "alpha", "dropout", "targetModules")
    ]


def test_what_a_type_must_have_is_asked_for(schema: dict[str, Any]) -> None:
    rules = find_place(schema, "spec.runtime.modelCache")["x-kubernetes-validations"]
    assert [rule for rule in rules if "is missing" in rule.get("message", "")] == [
        {
            "rule": f"self.type != '{tag}' || has(self.{name})",
            "message": f"is missing and type {tag} needs it, got none; add it",
            "fieldPath": f".{name}",
        }
        for tag, name in (("claim", "claimName"), ("ephemeral", "sizeGib"))
    ]


def test_a_union_without_words_of_its_own_has_its_types_words(schema: dict[str, Any]) -> None:
    description = find_place(schema, "spec.students[].method")["description"]
    assert "`lora`: Train low-rank adapters and leave the weights alone" in description
    assert "`full`: Train all weights." in description
