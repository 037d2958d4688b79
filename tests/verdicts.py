"""Builders of prepare's verdict as it really looks: digests, prefixes, every bound reached."""

from typing import Any

from distillery.manifests import ManifestRef, sha256_hex
from distillery.sizing.estimates import Estimate
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PinnedModel, PrepareVerdict
from distillery.step_configs import TEACHER_PIN, student_pin
from distillery.steps import PREPARE, steps_of
from tests.builders import make_document

NAMESPACE, JOB = "n" * 63, "j" * 63


def make_job_at_bounds() -> DistillationJob:
    """A job of as many students, and as long names, as there may be."""
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


def make_whole_verdict(job: DistillationJob) -> PrepareVerdict:
    """A verdict with true digests, every step but prepare found finished."""

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
    estimate = Estimate(gpu_hours=123456.78, duration_seconds=1_234_567, cost_usd=9876543.21)
    return PrepareVerdict(dataset=ref(PREPARE.id), pins=pins, finished=finished, estimate=estimate)
