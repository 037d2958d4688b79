"""Which run of a job this is, what was frozen for it, and whether it is over. Pure."""

from collections.abc import Sequence

from controller.jobs.views import UPGRADE, JobView
from controller.plan.snapshot import Attempt
from distillery.conditions import ConditionType, Reason
from distillery.spec.job import DistillationJob
from distillery.status import RuntimeStatus, StepState

MAX_UPGRADE_CHARS = 64


def current_runtime(view: JobView, job: DistillationJob, defaults: RuntimeStatus) -> RuntimeStatus:
    """What holds for the job's next attempts.

    The image is frozen when the job is first accepted, but for one the job names itself, until
    ``distillery upgrade`` asks for the installation's present one. A job that goes on after a
    suspension, or is changed after it failed, begins its next run.
    """
    recorded = view.status.runtime
    asked = job.metadata.annotations.get(UPGRADE, "")[:MAX_UPGRADE_CHARS]
    if recorded is None:
        image = job.spec.runtime.image or defaults.image
        return defaults.model_copy(
            update={"image": image, "suspended": job.spec.suspend, "upgrade": asked}
        )
    if asked != recorded.upgrade:
        recorded = recorded.model_copy(
            update={
                "image": defaults.image,
                "ray_version": defaults.ray_version,
                "config_version": defaults.config_version,
                "upgrade": asked,
            }
        )
    runtime = recorded.model_copy(update={"image": job.spec.runtime.image or recorded.image})
    if job.spec.suspend:
        return runtime.model_copy(update={"suspended": True})
    if runtime.suspended or _is_changed_after_failure(view):
        return runtime.model_copy(update={"run": runtime.run + 1, "suspended": False})
    return runtime


def run_with_records(
    view: JobView, runtime: RuntimeStatus, attempts: Sequence[Attempt]
) -> RuntimeStatus:
    """``runtime``, or the next run where what a finished step said is lost: prepare finds out anew
    what is finished, and no step is run again for want of a record."""
    outcomes = {each.step: each.outcome for each in attempts}
    for entry in view.status.stages:
        is_own = entry.state == StepState.DONE and entry.run == runtime.run
        if is_own and entry.reason == Reason.DONE and outcomes.get(entry.step) is None:
            return runtime.model_copy(update={"run": runtime.run + 1})
    return runtime


def is_over_for_good(view: JobView, runtime: RuntimeStatus) -> bool:
    """Whether this run has ended: then nothing of it is ever started again."""
    recorded = view.status.runtime
    return (
        view.status.is_true(ConditionType.FINISHED)
        and recorded is not None
        and recorded.run == runtime.run
    )


def _is_changed_after_failure(view: JobView) -> bool:
    status = view.status
    return (
        status.is_true(ConditionType.FINISHED)
        and not status.is_true(ConditionType.SUCCEEDED)
        and status.observed_generation != view.generation
    )
