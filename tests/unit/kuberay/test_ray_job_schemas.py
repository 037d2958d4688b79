"""Every RayJob against KubeRay's own schema, and one of them against what it was."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.unit.kuberay.all_ray_jobs import SAMPLES, VARIANTS, ray_jobs_of, sample_job, variant_job
from tests.unit.kuberay.golden_ray_job import GOLDEN, golden_text
from tests.unit.kuberay.kuberay_schemas import ray_job_schema


@pytest.fixture(scope="module")
def validator() -> Any:
    """Of KubeRay's schema, unknown fields refused."""
    schema = ray_job_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def faults(validator: Any, ray_job: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(ray_job)]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_ray_job_fits_kuberays_schema(validator: Any, name: str) -> None:
    ray_jobs = ray_jobs_of(variant_job(name))
    assert len(ray_jobs) == 6
    for ray_job in ray_jobs:
        assert faults(validator, ray_job) == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_gives_ray_jobs_that_fit(validator: Any, path: Path) -> None:
    for ray_job in ray_jobs_of(sample_job(path)):
        assert faults(validator, ray_job) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("spec.submiterConfig", {}),
        ("spec.backoffLimit", "0"),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.containers", [{"image": "no name"}]),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.restart", "Never"),
        ("spec.rayClusterSpec.authOptions", {"mode": "Token"}),
        ("spec.preRunningDeadlineSeconds", 0),
    ],
)
def test_the_schema_check_finds_mistakes(validator: Any, place: str, value: object) -> None:
    ray_job = ray_jobs_of(variant_job("cpu"))[0]
    *parents, last = place.split(".")
    node: Any = ray_job
    for part in parents:
        node = node[part]
    node[last] = value
    assert faults(validator, ray_job) != []


def test_the_ray_job_kept_as_a_file_is_still_the_same() -> None:
    assert golden_text() == GOLDEN.read_text("utf-8"), (
        "the RayJob has changed: run python -m tests.unit.kuberay.golden_ray_job and look at it"
    )
