"""The generated files: up to date, the same every time, and checked."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.generated_files import ROOT, build_files, find_stale, job_rows, main

SCHEMA, FIELDS = "manifests/schemas/results.schema.json", "docs/reference/job-fields.md"
DEFINITION = "manifests/crd/distillery.dev_distillationjobs.yaml"


def test_the_repository_holds_what_the_models_say() -> None:
    assert find_stale(build_files(), ROOT) == []


def test_the_same_models_give_the_same_files() -> None:
    assert build_files() == build_files()
    assert set(build_files()) == {SCHEMA, FIELDS, DEFINITION}


def test_a_file_that_differs_or_is_missing_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], root=tmp_path) == 1
    assert main([], root=tmp_path) == 0
    assert main(["--check"], root=tmp_path) == 0
    (tmp_path / FIELDS).write_text("edited")
    assert main(["--check"], root=tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"{path}: is out of date; run make generated"
        for path in (SCHEMA, DEFINITION, FIELDS, FIELDS)
    ]


def test_the_definition_says_where_it_comes_from() -> None:
    text = build_files()[DEFINITION]
    assert text.startswith("# Generated from the models in distillery/spec/")
    assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"


def test_the_published_schema_is_one() -> None:
    schema = json.loads(build_files()[SCHEMA])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"student", "arm", "seed", "metric", "value", "ciLow", "ciHigh"} <= set(
        schema["$defs"]["TrialResult"]["required"]
    )
    assert schema["$defs"]["TrialResult"]["properties"]["seed"]["anyOf"] == [
        {"type": "integer"},
        {"type": "null"},
    ]


@pytest.mark.parametrize(
    "line",
    [
        "| `spec.teacher.minSuccessRatio` | number | `0.7` | at least 0, at most 1 "
        "| Usable answers / prepared rows, per split and prompt; below it the job stops. |",
        "| `spec.runtime.head` | mapping |  |  | Changes to head pods, as in a pod template: "
        "`metadata` and `spec`, merged strategically. Command, labels, our environment, mounts, "
        "GPU counts and privileges can't be changed. |",
        "| `spec.students[].method(type: lora).rank` | whole number | `8` "
        "| at least 1, at most 512 |",
        "| `spec.students[].seeds` | list of whole number | `[0]` | at least 1 item, at most 10 "
        "items; each at least 0, at most 2,147,483,647 |",
        "| `spec.dataset.test` | mapping | required |  | One file or hub data set. Its fields are "
        "those of `spec.dataset.train`. |",
        '| `spec.failurePolicy` | `Continue`, `FailFast` | `"Continue"` |  | What a student\'s '
        "terminal failure does to the other students. |",
    ],
)
def test_a_field_shows_type_default_bounds_and_words(line: str) -> None:
    rows = build_files()[FIELDS].splitlines()
    assert [row for row in rows if row.startswith(line)] != []


def test_every_field_of_the_sample_is_listed() -> None:
    document = yaml.safe_load((ROOT / "manifests/samples/quickstart.yaml").read_text())
    listed = {row.path for row in job_rows()}
    for name in document["spec"]:
        assert f"spec.{name}" in listed
    for name in document["spec"]["students"][0]["training"]:
        assert f"spec.students[].training.{name}" in listed
