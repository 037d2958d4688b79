"""Which run of a job this is, what was frozen for it, and whether it is over. Pure."""

from controller.jobs.views import JobView
from distillery.conditions import ConditionType
from distillery.spec.job import DistillationJob
from distillery.status import RuntimeStatus


def current_runtime(view: JobView, job: DistillationJob, defaults: RuntimeStatus) -> RuntimeStatus:
    """What holds for the job's next attempts.

    The image is frozen when the job is first accepted. A job that goes on after a suspension, or is
    changed after it failed, begins its next run.
    """
    runtime = view.status.runtime
    if runtime is None:
        image = job.spec.runtime.image or defaults.image
        return defaults.model_copy(update={"image": image, "suspended": job.spec.suspend})
    if job.spec.suspend:
        return runtime.model_copy(update={"suspended": True})
    if runtime.suspended or _is_changed_after_failure(view):
        return runtime.model_copy(update={"run": runtime.run + 1, "suspended": False})
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
