"""Prepare's verdict fits into an outcome at all bounds, and comes back whole."""

import json
from typing import Any

import pytest

from distillery.errors import InvariantError
from distillery.manifests import ManifestRef, sha256_hex
from distillery.progress import MAX_SUMMARY_BYTES
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PinnedModel, PrepareVerdict
from distillery.step_configs import TEACHER_PIN, student_pin
from distillery.steps import PREPARE, steps_of
from distillery.verdicts import pack_verdict, unpack_verdict
from tests.builders import make_document, make_job

NAMESPACE, JOB = "n" * 63, "j" * 63


def make_job_at_bounds() -> DistillationJob:
    document = make_document()
    student = document["spec"]["students"][0]
    document["spec"]["teacher"]["model"] = {"uri": "hf://owner/teacher", "date": "2026-01-31"}
    document["spec"]["students"] = [
        {
            **student,
            "name": f"s{number:02}" + "x" * 37,
            "model": {"uri": "file:///" + "m" * 900 + str(number)},
        }
        for number in range(16)
    ]
    return DistillationJob.model_validate(document)


def make_verdict(job: DistillationJob) -> PrepareVerdict:
    def ref(step: str) -> ManifestRef:
        digest = sha256_hex(step.encode())
        return ManifestRef(prefix=f"jobs/{NAMESPACE}/{JOB}/{step}/{digest[:16]}", sha256=digest)

    def pin(name: str, model: Any, revision: str = "") -> PinnedModel:
        return PinnedModel(
            uri=model.uri,
            date=model.date,
            revision=revision,
            digest=revision or sha256_hex(name.encode()),
            template_hash=sha256_hex(b"template" + name.encode()),
        )

    spec = job.spec
    pins = {TEACHER_PIN: pin("teacher", spec.teacher.model, "ab" * 20)}
    pins |= {student_pin(one.name): pin(one.name, one.model) for one in spec.students}
    finished = {step.id: ref(step.id) for step in steps_of(spec) if step != PREPARE}
    return PrepareVerdict(dataset=ref(PREPARE.id), pins=pins, finished=finished)


def test_verdict_at_all_bounds_fits_and_comes_back_whole() -> None:
    job = make_job_at_bounds()
    verdict = make_verdict(job)

    packed = json.loads(json.dumps(pack_verdict(verdict)))

    assert len(verdict.finished) == 35
    assert len(json.dumps(packed)) <= MAX_SUMMARY_BYTES
    assert unpack_verdict(packed, job.spec) == verdict


def test_small_verdict_is_written_out_plainly() -> None:
    job = make_job()
    verdict = make_verdict(job)

    packed = pack_verdict(verdict)

    assert packed == verdict.dump()
    assert unpack_verdict(packed, job.spec) == verdict


@pytest.mark.parametrize(
    "summary",
    [
        pytest.param({}, id="empty"),
        pytest.param(
            {"isPacked": True, "dataset": ["p/a/b", "abcde"], "pins": {}, "finished": {}},
            id="no digest",
        ),
        pytest.param(
            {"isPacked": True, "dataset": ["p", ""], "pins": {"students/x": []}, "finished": {}},
            id="other job",
        ),
    ],
)
def test_outcome_that_is_no_verdict_is_refused(summary: dict[str, Any]) -> None:
    with pytest.raises(InvariantError, match="prepare: its outcome is no verdict on this job, got"):
        unpack_verdict(summary, make_job_at_bounds().spec)


def test_finished_step_of_another_job_is_no_part_of_a_verdict() -> None:
    verdict = make_verdict(make_job_at_bounds())
    strange = verdict.model_copy(
        update={
            "finished": {
                **verdict.finished,
                "train-x": ManifestRef(prefix="jobs/a/b/train-x/1", sha256="00"),
            }
        }
    )

    with pytest.raises(InvariantError, match="jobs/a/b/train-x/1: is no prefix of train-x below"):
        pack_verdict(strange)
