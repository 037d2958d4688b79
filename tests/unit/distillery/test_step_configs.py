"""What each step is sent, and what re-runs it."""

import pytest

from distillery.errors import InvariantError
from distillery.manifests import ManifestRef
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PinnedModel, StageConfig, parse_stage_config
from distillery.step_configs import Known, Place, build_config
from distillery.steps import (
    CURATE,
    GENERATE,
    PREPARE,
    PUBLISH,
    Step,
    evaluate_step,
    steps_of,
    train_step,
)
from tests.builders import make_document, make_job

PLACE = Place(scratch_dir="/scratch")


def known_for(job: DistillationJob) -> Known:
    keys = ["teacher", *(f"students/{student.name}" for student in job.spec.students)]
    pins = {
        key: PinnedModel(uri=f"file:///{key}", digest="d" * 64, template_hash="t" * 64)
        for key in keys
    }
    manifests = {
        step.id: ManifestRef(prefix=f"p/{step.id}", sha256="a" * 64) for step in steps_of(job.spec)
    }
    return Known(pins=pins, manifests=manifests)


def config_of(step: Step, **changes: object) -> StageConfig:
    job = make_job(**changes)
    return build_config(step, job, known_for(job), place=PLACE, attempt=1)


ALL_STEPS = [PREPARE, GENERATE, CURATE, train_step("small"), evaluate_step("small"), PUBLISH]


@pytest.mark.parametrize("step", ALL_STEPS, ids=lambda step: step.id)
def test_a_config_survives_the_way_to_the_job(step: Step) -> None:
    config = config_of(step)
    assert parse_stage_config(config.model_dump_json(by_alias=True)) == config


def test_steps_come_after_what_they_need() -> None:
    assert [step.id for step in steps_of(make_job().spec)] == [
        "prepare", "generate", "curate", "train-small", "evaluate-small", "publish",
    ]  # fmt: skip


def test_a_step_is_not_built_before_its_upstream_is_known() -> None:
    job = make_job()
    known = known_for(job)
    manifests = {key: ref for key, ref in known.manifests.items() if key != "generate"}
    lacking = Known(pins=known.pins, manifests=manifests)
    with pytest.raises(InvariantError, match="curate: generate has no manifest yet"):
        build_config(CURATE, job, lacking, place=PLACE, attempt=1)


def test_publish_leaves_out_a_student_that_failed() -> None:
    job = make_job()
    known = known_for(job)
    manifests = {key: ref for key, ref in known.manifests.items() if "small" not in key}
    lacking = Known(
        pins=known.pins, manifests=manifests, failed_students={"small": "out of memory"}
    )
    config = build_config(PUBLISH, job, lacking, place=PLACE, attempt=1)
    assert set(config.context.upstream) == {"prepare", "generate", "curate"}


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({"retries__maxAttempts": 9}, set(), id="retries"),
        pytest.param({"failurePolicy": "FailFast"}, set(), id="failure_policy"),
        pytest.param({"teacher__minSuccessRatio": 0.1}, set(), id="min_success_ratio"),
        pytest.param({"teacher__engine": {"type": "vllm", "replicas": 3}}, set(), id="replicas"),
        pytest.param({"students__0__workers": {"replicas": 2}}, set(), id="workers"),
        pytest.param(
            {"teacher__sampling__maxTokens": 300}, {"generate", "evaluate-small"}, id="max_tokens"
        ),
        pytest.param(
            {"teacher__prompts": ["ChainOfThought", "Vanilla"]},
            {"generate", "curate"},
            id="prompts",
        ),
        pytest.param({"students__0__training": {"epochs": 4}}, {"train-small"}, id="training"),
        pytest.param({"students__0__seeds": [7]}, {"train-small"}, id="seeds"),
        pytest.param({"evaluation__maxTokens": 9}, {"evaluate-small"}, id="evaluation"),
        pytest.param({"evaluation__promoteIf": {"arm": "Vanilla"}}, {"publish"}, id="promotion"),
    ],
)
def test_only_steps_that_read_a_field_are_renamed_by_it(changes: dict, want: set[str]) -> None:
    steps = [step for step in ALL_STEPS if step != PREPARE]
    changed = {
        step.id
        for step in steps
        if config_of(step).context.input_hash != config_of(step, **changes).context.input_hash
    }
    assert changed == want


def test_the_hashes_of_a_golden_job_do_not_move() -> None:
    # A change here re-runs every finished step of that stage on the next resume: raise the
    # stage's `revision` on purpose, or mend what moved the hash.
    got = {step.id: config_of(step).context.input_hash for step in ALL_STEPS if step != PREPARE}
    assert got == GOLDEN


GOLDEN = {
    "generate": "2892f5ce7077eeab",
    "curate": "41da9424b73c6aec",
    "train-small": "516ee77ef8f1959c",
    "evaluate-small": "26683dc8f8c75eb0",
    "publish": "f4f3ee63a73498a9",
}


def test_the_builders_document_is_the_builders_job() -> None:
    assert DistillationJob.model_validate(make_document()) == make_job()
