"""What a real API server stores of a job and shows of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi

from distillery.conditions import ConditionStatus, ConditionType
from distillery.crd.definition import GROUP, VERSION
from distillery.progress import Phase, Progress
from distillery.spec.job import JobSpec
from distillery.status import (
    ArmFigures,
    Condition,
    JobStatus,
    ResultsStatus,
    RuntimeStatus,
    StageStatus,
    StatusSummary,
    StepFailures,
    StepState,
)
from distillery.steps import Stage
from tests.builders import make_document
from tests.contract.crd.subject import Jobs
from tests.documents import read_document

pytestmark = pytest.mark.controlplane

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
FULL_STATUS = JobStatus(
    observed_generation=1,
    conditions=(
        Condition(
            type=ConditionType.SUCCEEDED,
            status=ConditionStatus.FALSE,
            reason="StudentsFailed",
            message="student small failed",
            last_transition_time=NOW,
        ),
        Condition(
            type=ConditionType.FINISHED,
            status=ConditionStatus.TRUE,
            reason="Failed",
            last_transition_time=NOW,
        ),
    ),
    summary=StatusSummary(
        stage="train",
        progress="62%",
        teacher="teacher",
        students="0/1",
        ray_job="sums-train-0a1b2c3d-1",
        message="out of memory",
    ),
    runtime=RuntimeStatus(image="registry.example/ray:1", ray_version="2.60.0", config_version=1),
    stages=(
        StageStatus(
            stage=Stage.TRAIN,
            student="small",
            state=StepState.FAILED,
            attempt=3,
            run=1,
            ray_job_name="sums-train-0a1b2c3d-1",
            start_time=NOW,
            end_time=NOW,
            reason="OutOfMemory",
            message="out of memory",
            progress=Progress(phase=Phase.RUNNING, beat=2, work=3, done=4, total=5),
            failures=StepFailures(own=3),
            failure_kind="Own",
        ),
    ),
    results=ResultsStatus(
        metric="exact_match",
        arms=(
            ArmFigures(
                student="small", arm="Base", mean=0.25, ci_low=-0.5, ci_high=1.0, num_seeds=1
            ),
        ),
        promoted=("small",),
        checkpoint_uri="s3://bucket/store/jobs/default/sums/publish",
        report_uri="s3://bucket/store/jobs/default/sums/publish/report.html",
    ),
)


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sample_is_admitted_and_means_the_same_when_read_back(
    dry_jobs: Jobs, path: Path
) -> None:
    document = read_document(path)
    stored = dry_jobs.create(document, dry=True)
    assert JobSpec.model_validate(stored["spec"]) == JobSpec.model_validate(document["spec"])


def test_defaults_are_stored_with_the_job(dry_jobs: Jobs) -> None:
    spec = dry_jobs.create(make_document(), dry=True)["spec"]
    assert spec["teacher"]["engine"] == {"type": "vllm", "replicas": 1, "dtype": "auto"}
    assert spec["failurePolicy"] == "Continue"
    assert spec["retries"] == {"maxAttempts": 3, "maxPreemptions": 20}
    assert "runtime" not in spec
    assert JobSpec.model_validate(spec) == JobSpec.model_validate(make_document()["spec"])


def test_an_unknown_field_is_refused_where_kubectl_asks_for_it(dry_jobs: Jobs) -> None:
    refusal = dry_jobs.refusal_of_new(make_document(teacher__shape="x", image="y"))
    assert refusal is not None
    assert refusal.code == 400
    assert 'unknown field "spec.teacher.shape"' in refusal.message
    assert 'unknown field "spec.image"' in refusal.message


def test_an_unknown_field_is_dropped_elsewhere(dry_jobs: Jobs) -> None:
    document = make_document(teacher__shape="x")
    stored = dry_jobs.create(document, strict=False, dry=True)
    assert "shape" not in stored["spec"]["teacher"]


def test_a_field_set_to_null_counts_as_left_away(dry_jobs: Jobs) -> None:
    document = make_document(dataset__train__maxRows=None, prompts={"system": None})
    spec = dry_jobs.create(document, dry=True)["spec"]
    assert "maxRows" not in spec["dataset"]["train"]
    assert "system" not in spec["prompts"]


def test_changes_to_pods_are_stored_as_written(dry_jobs: Jobs) -> None:
    head = {"spec": {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"operator": "Exists"}]}}
    stored = dry_jobs.create(make_document(runtime={"head": head}), dry=True)
    assert stored["spec"]["runtime"] == {"head": head}


def test_a_status_is_stored_as_written(jobs: Jobs) -> None:
    written = FULL_STATUS.dump()
    stored = jobs.set_status(jobs.create(make_document()), written)
    assert stored["status"] == written
    assert JobStatus.model_validate(stored["status"]) == FULL_STATUS


def test_status_is_written_apart_from_the_job(jobs: Jobs) -> None:
    created = jobs.create({**make_document(), "status": {"observedGeneration": 7}})
    assert "status" not in created
    stored = jobs.set_status({**created, "spec": make_document(task="NLI")["spec"]}, {})
    assert stored["spec"]["task"] == "MATH"
    assert stored["metadata"]["generation"] == 1


def test_get_shows_stage_end_and_progress(jobs: Jobs) -> None:
    jobs.set_status(jobs.create(make_document()), FULL_STATUS.dump())
    table = jobs.table()
    names = [column["name"] for column in table["columnDefinitions"]]
    (row,) = table["rows"]
    cells = dict(zip(names, row["cells"], strict=True))
    assert without(cells, "Age") == {
        "Name": "sums",
        "Stage": "train",
        "Succeeded": "False",
        "Progress": "62%",
        "Teacher": "teacher",
        "Students": "0/1",
        "RayJob": "sums-train-0a1b2c3d-1",
        "Message": "out of memory",
    }
    wide = [column["name"] for column in table["columnDefinitions"] if column["priority"] > 0]
    assert wide == ["RayJob", "Message"]


def test_the_kind_has_its_short_name_and_category(custom_objects: CustomObjectsApi) -> None:
    served = custom_objects.get_api_resources(GROUP, VERSION)
    (kind,) = [each for each in served.resources if each.name == "distillationjobs"]
    assert (kind.short_names, kind.categories) == (["dj"], ["all"])
