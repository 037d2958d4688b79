"""The definition as a whole: names, columns, lists, rules and size."""

from typing import Any

import pytest
import yaml

from distillery.crd.definition import LIST_KEYS, build_definition, build_schema, render_definition
from distillery.crd.immutability import MUTABLE, fixed_paths
from distillery.crd.places import find_place, iter_places
from distillery.crd.rules import OBJECT_RULES, Rule, attach_rule
from distillery.errors import InvariantError

MAX_BYTES = 256 * 1024


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_schema()


def test_the_definition_fits_into_plain_apply() -> None:
    assert len(render_definition().encode()) < MAX_BYTES


def test_the_text_is_the_definition_without_links_between_places() -> None:
    text = render_definition()
    assert yaml.safe_load(text) == build_definition()
    assert "&id" not in text


def test_names_and_revision() -> None:
    definition = build_definition()
    assert definition["metadata"] == {
        "name": "distillationjobs.distillery.dev",
        "annotations": {"distillery.dev/schema-revision": "1"},
    }
    assert definition["spec"]["names"] == {
        "kind": "DistillationJob",
        "listKind": "DistillationJobList",
        "plural": "distillationjobs",
        "singular": "distillationjob",
        "shortNames": ["dj"],
        "categories": ["all"],
    }
    (version,) = definition["spec"]["versions"]
    assert (version["name"], version["subresources"]) == ("v1alpha1", {"status": {}})


def test_columns_in_their_order() -> None:
    (version,) = build_definition()["spec"]["versions"]
    columns = version["additionalPrinterColumns"]
    assert [each["name"] for each in columns if not each.get("priority")] == [
        "Stage",
        "Succeeded",
        "Progress",
        "Teacher",
        "Students",
        "Age",
    ]
    assert [each["name"] for each in columns if each.get("priority") == 1] == ["RayJob", "Message"]


def test_columns_show_fields_that_exist(schema: dict[str, Any]) -> None:
    (version,) = build_definition()["spec"]["versions"]
    paths = [each["jsonPath"] for each in version["additionalPrinterColumns"]]
    shown = [path.lstrip(".") for path in paths if path.startswith(".status.summary.")]
    assert len(shown) == 6
    for path in shown:
        assert find_place(schema, path)["type"] == "string"


def test_items_are_told_apart_by_key_or_value(schema: dict[str, Any]) -> None:
    marked = {
        path: (place["x-kubernetes-list-type"], place.get("x-kubernetes-list-map-keys"))
        for path, place in iter_places(schema)
        if "x-kubernetes-list-type" in place
    }
    assert marked == {
        "spec.students": ("map", ["name"]),
        "spec.credentials": ("map", ["name"]),
        "status.conditions": ("map", ["type"]),
        "spec.teacher.prompts": ("set", None),
        "spec.students[].arms": ("set", None),
        "spec.students[].seeds": ("set", None),
    }
    for path, key in LIST_KEYS.items():
        if key:
            assert key in find_place(schema, f"{path}[]")["required"]


def test_what_a_started_job_may_change_and_what_not(schema: dict[str, Any]) -> None:
    fixed = fixed_paths(schema)
    assert fixed == (
        "spec.task",
        "spec.dataset",
        "spec.prompts",
        "spec.teacher.model",
        "spec.teacher.engine",
        "spec.teacher.prompts",
        "spec.teacher.sampling",
        "spec.students",
        "spec.evaluation.engine",
        "spec.evaluation.maxTokens",
        "spec.storage",
        "spec.failurePolicy",
        "spec.credentials",
    )
    for path in MUTABLE:
        assert find_place(schema, path)
    rules = schema["x-kubernetes-validations"]
    assert [rule["fieldPath"] for rule in rules if "oldSelf" in rule["rule"]] == [
        f".{path}" for path in fixed
    ]


def all_rules(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (path, rule)
        for path, place in [("", schema), *iter_places(schema)]
        for rule in place.get("x-kubernetes-validations", ())
    ]


def test_every_rule_names_a_field_that_exists(schema: dict[str, Any]) -> None:
    for path, rule in all_rules(schema):
        if "fieldPath" in rule:
            assert find_place(find_place(schema, path), rule["fieldPath"].lstrip("."))


def test_every_message_says_what_was_got(schema: dict[str, Any]) -> None:
    for _, rule in all_rules(schema):
        words = rule.get("message") or rule["messageExpression"]
        assert "got" in words
        assert not words.endswith(".")


def test_rules_stand_at_the_objects_they_judge(schema: dict[str, Any]) -> None:
    for place, rules in OBJECT_RULES.items():
        found = find_place(schema, place)["x-kubernetes-validations"]
        assert [rule.dump() for rule in rules] == found[-len(rules) :]


@pytest.mark.parametrize("message", ["", "m" * 257])
def test_a_rule_without_a_fitting_message_is_an_error(message: str) -> None:
    with pytest.raises(InvariantError) as caught:
        attach_rule({}, Rule(expression="self.topK != 0", message=message))
    assert str(caught.value) == (
        f"self.topK != 0: needs a message of at most 256 characters, got {len(message)}; write one"
    )
