"""The schema keeps to what the API server takes, and describes and bounds every field."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.crd.definition import build_schema
from distillery.crd.places import find_place, iter_places
from distillery.errors import InvariantError
from distillery.spec.job import DistillationJob
from tests.builders import make_document

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"

# Every keyword of a structural schema that is used; the API server knows more, and no others.
ALLOWED = {
    "type",
    "format",
    "description",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "items",
    "properties",
    "required",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_schema()


def places_where(schema: dict[str, Any], is_wrong: Any) -> list[str]:
    return [path for path, place in iter_places(schema) if is_wrong(place)]


def test_only_keywords_of_structural_schemas_are_used(schema: dict[str, Any]) -> None:
    assert set(schema) <= ALLOWED
    assert places_where(schema, lambda place: set(place) - ALLOWED) == []


def test_every_place_has_one_type(schema: dict[str, Any]) -> None:
    types = {"object", "array", "string", "integer", "number", "boolean"}
    assert places_where(schema, lambda place: place.get("type") not in types) == []


def test_exclusive_bounds_are_true_beside_their_bound(schema: dict[str, Any]) -> None:
    def is_wrong(place: dict[str, Any]) -> bool:
        return any(
            place.get(f"exclusive{side}", True) is not True
            or (f"exclusive{side}" in place and side.lower() not in place)
            for side in ("Minimum", "Maximum")
        )

    assert places_where(schema, is_wrong) == []


def test_no_default_is_null(schema: dict[str, Any]) -> None:
    assert places_where(schema, lambda place: place.get("default", "") is None) == []


def test_objects_are_closed_but_for_pod_overrides(schema: dict[str, Any]) -> None:
    def is_open(place: dict[str, Any]) -> bool:
        return place["type"] == "object" and "properties" not in place

    assert places_where(schema, is_open) == ["spec.runtime.head", "spec.runtime.workers"]
    assert places_where(schema, lambda place: "x-kubernetes-preserve-unknown-fields" in place) == [
        "spec.runtime.head",
        "spec.runtime.workers",
    ]


def test_every_field_is_described(schema: dict[str, Any]) -> None:
    bare = places_where(schema, lambda place: not place.get("description"))
    assert [path for path in bare if not path.endswith("[]") and path != "metadata"] == []


def test_every_text_and_list_is_bounded(schema: dict[str, Any]) -> None:
    def is_unbounded(place: dict[str, Any]) -> bool:
        if place["type"] == "string":
            return not ({"maxLength", "enum"} & set(place) or place.get("format") == "date-time")
        return place["type"] == "array" and "maxItems" not in place

    assert places_where(schema, is_unbounded) == ["apiVersion", "kind", "metadata.name"]


def test_every_number_of_the_specification_is_bounded(schema: dict[str, Any]) -> None:
    """Those of the status are not: a figure out of bounds would keep all of the status from being
    written."""

    def is_unbounded(place: dict[str, Any]) -> bool:
        return place["type"] in ("integer", "number") and not {"minimum", "maximum"} <= set(place)

    assert places_where(find_place(schema, "spec"), is_unbounded) == []


def test_durations_say_seconds(schema: dict[str, Any]) -> None:
    said = [path for path, _ in iter_places(find_place(schema, "spec")) if "econds" in path]
    assert said == [
        "runtime.stepDeadlineSeconds",
        "runtime.unschedulableSeconds",
        "runtime.stallSeconds",
        "ttlSecondsAfterFinished",
    ]


def test_what_the_controller_writes_is_read_back_unchanged(schema: dict[str, Any]) -> None:
    status, runtime = find_place(schema, "status"), find_place(schema, "spec.runtime")
    assert places_where(status, lambda place: "default" in place) == []
    assert places_where(runtime, lambda place: "default" in place) == []


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (
            "spec.teacher.sampling.temperature",
            {
                "description": "0 is greedy. Default: 0.2.",
                "type": "number",
                "minimum": 0,
                "maximum": 2,
                "default": 0.2,
            },
        ),
        (
            "spec.students[].training.maxSteps",
            {
                "description": "Stop after this many optimizer steps, whatever `epochs` says.",
                "type": "integer",
                "minimum": 1,
                "maximum": 10_000_000,
            },
        ),
        (
            "spec.failurePolicy",
            {
                "description": "What a student's terminal failure does to the other students. "
                "Default: Continue.",
                "type": "string",
                "enum": ["Continue", "FailFast"],
                "default": "Continue",
            },
        ),
        (
            "spec.runtime.head",
            {
                "description": "Changes to head pods, as in a pod template: `metadata` and `spec`, "
                "merged strategically. Command, labels, our environment, mounts, GPU counts and "
                "privileges can't be changed.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        ),
        (
            "spec.teacher.model.credentialsRef",
            {
                "description": "Name of a credential of kind HuggingFace, in a cluster.",
                "type": "string",
                "minLength": 1,
                "maxLength": 63,
                "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$",
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_becomes(schema: dict[str, Any], path: str, want: dict[str, Any]) -> None:
    assert find_place(schema, path) == want


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("spec.teacher.sampling", {}),
        ("spec.teacher.engine", {"type": "vllm"}),
        ("spec.students[].method", {"type": "lora"}),
        ("spec.evaluation", {}),
        ("spec.teacher.prompts", ["Vanilla"]),
    ],
)
def test_an_object_left_away_is_filled_in_with_no_more_than_needed(
    schema: dict[str, Any], path: str, want: object
) -> None:
    assert find_place(schema, path)["default"] == want


def test_a_path_that_leads_nowhere_is_an_error(schema: dict[str, Any]) -> None:
    with pytest.raises(InvariantError) as caught:
        find_place(schema, "spec.teachers.model")
    assert str(caught.value) == (
        "spec.teachers.model: the schema has no such place, got none at 'teachers'; mend the path"
    )


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """As the API server fills in defaults."""
    if isinstance(value, list):
        return [with_defaults(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    filled = copy.deepcopy(value)
    for name, field in schema.get("properties", {}).items():
        if name not in filled and "default" in field:
            filled[name] = copy.deepcopy(field["default"])
        if name in filled:
            filled[name] = with_defaults(filled[name], field)
    return filled


@pytest.mark.parametrize(
    "document",
    [
        make_document(),
        make_document(students__0__method={"type": "lora"}),
        make_document(teacher__engine={"type": "transformers"}, evaluation={"maxTokens": 8}),
        make_document(evaluation__engine={"type": "transformers", "batchSize": 4}),
        make_document(runtime={"modelCache": {"type": "claim", "claimName": "models"}}),
        *(yaml.safe_load(path.read_text()) for path in sorted(SAMPLES.glob("*.yaml"))),
    ],
)
def test_defaults_filled_in_by_the_api_server_change_no_job(
    schema: dict[str, Any], document: dict[str, Any]
) -> None:
    filled = with_defaults(document, schema)
    assert filled != document
    assert DistillationJob.model_validate(filled) == DistillationJob.model_validate(document)
