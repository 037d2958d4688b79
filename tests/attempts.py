"""Builders of attempts and snapshots for tests of the planner and its neighbours."""

from typing import Any

from controller.plan.snapshot import Attempt, RayStatus, Snapshot
from distillery.manifests import ManifestRef
from distillery.progress import Outcome, OutcomeState
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PinnedModel, PrepareVerdict
from distillery.step_configs import Place
from tests.builders import make_job

RUN = "r2"
DIGEST = "digest"
NOW = 1_000.0


def make_ref(prefix: str) -> ManifestRef:
    """A manifest's reference."""
    return ManifestRef(prefix=prefix, sha256=f"sha-{prefix}")


def make_verdict(job: DistillationJob, *, finished: tuple[str, ...] = ()) -> PrepareVerdict:
    """What prepare reports, with ``finished`` steps."""
    names = ["teacher", *(f"students/{student.name}" for student in job.spec.students)]
    pin = PinnedModel(uri="file:///m", digest="d", template_hash="t")
    return PrepareVerdict(
        dataset=make_ref("prepare"),
        pins=dict.fromkeys(names, pin),
        finished={step: make_ref(f"old-{step}") for step in finished},
    )


def make_outcome(step: str, **changes: Any) -> Outcome:
    """A good outcome of ``step``, but for ``changes``."""
    values: dict[str, Any] = {"state": OutcomeState.SUCCEEDED, "manifest": make_ref(step)}
    return Outcome(**{**values, **changes})


def make_failure(reason: str = "Broken", *, retriable: bool = False) -> Outcome:
    """A bad outcome."""
    return Outcome(
        state=OutcomeState.FAILED, reason=reason, message="it broke", retriable=retriable
    )


def make_attempt(step: str, **changes: Any) -> Attempt:
    """An attempt that runs, but for ``changes``."""
    number = changes.get("number", 1)
    values: dict[str, Any] = {
        "step": step,
        "number": number,
        "run": RUN,
        "submission_id": f"{step}-{number}-{changes.get('run', RUN)}",
        "job_digest": DIGEST,
        "config_hash": "c",
        "started_at": NOW - 50,
        "ray_status": RayStatus.RUNNING,
    }
    return Attempt(**{**values, **changes})


def make_ended(step: str, outcome: Outcome | None, **changes: Any) -> Attempt:
    """An attempt that ended with ``outcome`` (None: killed)."""
    good = outcome is not None and outcome.state == OutcomeState.SUCCEEDED
    status = RayStatus.SUCCEEDED if good else RayStatus.FAILED
    values = {"outcome": outcome, "ray_status": status, "ended_at": NOW - 10}
    return make_attempt(step, **{**values, **changes})


def make_prepared(job: DistillationJob, *, finished: tuple[str, ...] = ()) -> Attempt:
    """A successful prepare of this run."""
    summary = make_verdict(job, finished=finished).dump()
    return make_ended("prepare", make_outcome("prepare", summary=summary))


def make_snapshot(
    *attempts: Attempt, job: DistillationJob | None = None, **changes: Any
) -> Snapshot:
    """A snapshot with these attempts."""
    values: dict[str, Any] = {
        "job": job or make_job(),
        "job_digest": DIGEST,
        "place": Place(scratch_dir="/scratch"),
        "run": RUN,
        "attempts": attempts,
    }
    return Snapshot(**{**values, **changes})
