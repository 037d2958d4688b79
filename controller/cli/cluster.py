"""The verbs on jobs in a cluster: status, suspend, resume, upgrade, delete, report.

They read and write the resource alone, as kubectl would, with the rights of the user's kubeconfig.
What they print is the status the controller wrote. ``logs`` is ``cluster_logs.py``.
"""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from controller.cli.cluster_target import ClusterTarget
from controller.cli.progress_text import estimate_text
from controller.cli.views import make_console, stage_table, utc_now
from controller.jobs.views import UPGRADE, JobView
from controller.kube.resources import DISTILLATION_JOBS
from distillery.conditions import ConditionStatus, ConditionType
from distillery.errors import ExternalError, word
from distillery.status import Condition, JobStatus, StepState

EXIT_OK = 0
EXIT_FAILED = 1
_TOLD_CONDITIONS = (
    ConditionType.ACCEPTED,
    ConditionType.ADMITTED,
    ConditionType.DEGRADED,
    ConditionType.SUCCEEDED,
)


def show_status(target: ClusterTarget) -> int:
    """Prints the job's state, what is wrong with it, and its steps. Exit code 1 where it has failed
    or was refused."""
    view = target.fetch()
    status = view.status
    console = make_console(target.out)
    _print(console, f"{view.key}: {headline(view)}")
    for condition in find_troubles(status):
        _print(console, f"  {condition.type}={condition.status} {condition.reason}:")
        _print(console, f"    {condition.message}")
    if status.estimate is not None:
        _print(console, f"  {estimate_text(status.estimate)}")
    if status.stages:
        console.print(stage_table(status, utc_now()))
    for url in sorted({stage.dashboard_url for stage in status.stages if stage.dashboard_url}):
        _print(console, f"Ray dashboard: {url}")
    succeeded = status.condition(ConditionType.SUCCEEDED)
    has_failed = succeeded is not None and succeeded.status == ConditionStatus.FALSE
    return EXIT_FAILED if has_failed else EXIT_OK


def headline(view: JobView) -> str:
    """The job's state in a few words."""
    status = view.status
    if view.is_deleting:
        return "is being deleted"
    if not status.conditions:
        return "not looked at yet; see that the controller runs"
    stale = status.observed_generation < view.generation
    return _state(view, status) + (", its last change not looked at yet" if stale else "")


def find_troubles(status: JobStatus) -> Iterator[Condition]:
    """The conditions that say something the table of steps doesn't, no message twice."""
    told = set()
    for kind in _TOLD_CONDITIONS:
        condition = status.condition(kind)
        good = ConditionStatus.FALSE if kind == ConditionType.DEGRADED else ConditionStatus.TRUE
        if condition is None or condition.status == good or not condition.message:
            continue
        if condition.message not in told:
            told.add(condition.message)
            yield condition


def suspend_job(target: ClusterTarget) -> int:
    """Has everything stopped; what is finished is kept. Raises ``ExternalError`` where the job is
    over."""
    view = target.fetch()
    if view.status.is_true(ConditionType.FINISHED):
        raise _over(target, view, "there is nothing to suspend")
    if _wants_suspension(view):
        target.say(f"{view.key}: is suspended already; go on with {target.command('resume')}")
        return EXIT_OK
    _set_suspend(target, suspend=True)
    target.say(
        f"{view.key}: its pods are being stopped, finished steps are kept; go on with "
        f"{target.command('resume')}"
    )
    return EXIT_OK


def resume_job(target: ClusterTarget) -> int:
    """Has a suspended job go on, or a failed one try again. Raises ``ExternalError`` where the job
    has succeeded."""
    view = target.fetch()
    is_over = view.status.is_true(ConditionType.FINISHED)
    if is_over and view.status.is_true(ConditionType.SUCCEEDED):
        raise _over(target, view, f"see {target.command('report')}")
    if not _wants_suspension(view):
        if not is_over:
            target.say(f"{view.key}: is not suspended; see {target.command('status')}")
            return EXIT_OK
        # A failed job begins its next run when its specification has changed since.
        _set_suspend(target, suspend=True)
    _set_suspend(target, suspend=False)
    target.say(
        f"{view.key}: {'tries again' if is_over else 'goes on'}, finished steps are not run again; "
        f"see {target.command('status')}"
    )
    return EXIT_OK


def upgrade_job(target: ClusterTarget) -> int:
    """Has a job's next attempts run the installation's present image. Raises ``ExternalError``
    where the job has succeeded, or names its own image."""
    view = target.fetch()
    runtime = view.status.runtime
    if view.status.is_true(ConditionType.FINISHED) and view.status.is_true(ConditionType.SUCCEEDED):
        raise _over(target, view, "there is nothing to upgrade")
    if runtime is None:
        target.say(f"{view.key}: nothing of it is frozen yet; it starts with the present image")
        return EXIT_OK
    if view.job is not None and view.job.spec.runtime.image:
        problem = f"names its own image, got {view.job.spec.runtime.image}; change that instead"
        raise ExternalError(word(view.key, problem), reason="OwnImage")
    target.api.merge(
        DISTILLATION_JOBS,
        namespace=target.namespace,
        name=target.name,
        patch={"metadata": {"annotations": {UPGRADE: utc_now().isoformat(timespec="seconds")}}},
    )
    target.say(
        f"{view.key}: its next attempts run the installation's present image, until now "
        f"{runtime.image}; an attempt that runs goes on with its own"
    )
    return EXIT_OK


def delete_job(target: ClusterTarget) -> int:
    """Deletes the resource with all its pods; artefacts stay."""
    view = target.fetch()
    target.api.delete(DISTILLATION_JOBS, namespace=target.namespace, name=target.name, uid=view.uid)
    place = view.job.spec.storage.uri if view.job is not None else "its storage"
    target.say(f"{view.key}: deleted, its pods go too; what it made stays in {place}")
    return EXIT_OK


def show_report(target: ClusterTarget) -> int:
    """Prints the figures of every arm, and where report and weights lie. Exit code 1 without."""
    view = target.fetch()
    results = view.status.results
    if results is None or not results.report_uri:
        target.say(f"{view.key}: has no results yet; see {target.command('status')}")
        return EXIT_FAILED
    for arm in results.arms:
        target.say(
            f"{arm.student} {arm.arm}: {results.metric} {arm.mean:.3f} "
            f"({arm.ci_low:.3f} to {arm.ci_high:.3f}, {_count_seeds(arm.num_seeds)})"
        )
    for student in results.promoted:
        target.say(f"{student}: promoted")
    promoted = view.status.condition(ConditionType.PROMOTED)
    if promoted is not None and promoted.status == ConditionStatus.FALSE:
        target.say(f"nothing is promoted: {promoted.message}")
    target.say(f"report:  {results.report_uri}")
    target.say(f"weights: {results.checkpoint_uri}")
    return EXIT_OK


def _state(view: JobView, status: JobStatus) -> str:
    accepted = status.condition(ConditionType.ACCEPTED)
    if accepted is not None and accepted.status == ConditionStatus.FALSE:
        return "refused"
    if status.is_true(ConditionType.FINISHED):
        return "succeeded" if status.is_true(ConditionType.SUCCEEDED) else "failed"
    if _wants_suspension(view):
        is_running = any(stage.state == StepState.RUNNING for stage in status.stages)
        return "being suspended" if is_running else "suspended"
    summary = status.summary
    if summary is None or not summary.stage:
        return "accepted"
    return f"at {summary.stage}" + (f", {summary.progress}" if summary.progress else "")


def _count_seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"


def _over(target: ClusterTarget, view: JobView, way_out: str) -> ExternalError:
    problem = f"has {_state(view, view.status)}; {way_out}"
    return ExternalError(word(view.key, problem), reason="JobFinished")


def _wants_suspension(view: JobView) -> bool:
    return view.job is not None and view.job.spec.suspend


def _set_suspend(target: ClusterTarget, *, suspend: bool) -> None:
    target.api.merge(
        DISTILLATION_JOBS,
        namespace=target.namespace,
        name=target.name,
        patch={"spec": {"suspend": suspend}},
    )


def _print(console: Console, line: str) -> None:
    # A URL that is broken over two lines can't be copied: never wrap.
    console.print(Text(line), soft_wrap=True)
