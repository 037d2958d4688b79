"""The verbs on jobs in a cluster: status, logs, suspend, resume, delete, report.

They read and write the resource alone, as kubectl would, with the rights of the user's kubeconfig.
What they print is the status the controller wrote.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.text import Text

from controller.cli.views import stage_table, utc_now
from controller.jobs.views import JobView, read_job
from controller.kube.api import KubeApi
from controller.kube.faults import NotFoundError
from controller.kube.resources import DISTILLATION_JOBS, PODS
from distillery.conditions import ConditionStatus, ConditionType
from distillery.errors import ExternalError, SpecError
from distillery.status import JobStatus, StageStatus, StepState

EXIT_OK = 0
EXIT_FAILED = 1
LOG_COLUMNS = 160
_TOLD_CONDITIONS = (
    ConditionType.ACCEPTED,
    ConditionType.ADMITTED,
    ConditionType.DEGRADED,
    ConditionType.SUCCEEDED,
)


class ClusterApi(KubeApi, Protocol):
    """What the verbs need besides objects."""

    def stream_log(
        self, *, namespace: str, pod: str, container: str, follow: bool
    ) -> Iterator[bytes]:
        """A container's log, piece by piece."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClusterTarget:
    """The job spoken of, and where it is."""

    api: ClusterApi
    namespace: str
    name: str
    out: TextIO

    def fetch(self) -> JobView:
        """The job as it is now. Raises ``SpecError`` where there is none."""
        try:
            raw = self.api.fetch(DISTILLATION_JOBS, namespace=self.namespace, name=self.name)
        except NotFoundError as error:
            raise SpecError(
                f"{self.namespace}/{self.name}: there is no such DistillationJob; see kubectl get "
                "dj --all-namespaces, and name its namespace with -n",
                reason="JobMissing",
            ) from error
        return read_job(raw)

    def say(self, line: str) -> None:
        """Writes a line."""
        self.out.write(line + "\n")


def show_status(target: ClusterTarget) -> int:
    """Prints conditions and steps. Exit code 1 where the job has failed."""
    view = target.fetch()
    status = view.status
    console = Console(file=target.out)
    if not console.is_terminal:
        console = Console(file=target.out, width=LOG_COLUMNS)
    console.print(Text(f"{view.key}: {headline(view)}"))
    for kind in _TOLD_CONDITIONS:
        condition = status.condition(kind)
        if condition is not None and condition.message and is_worth_telling(kind, status):
            console.print(Text(f"  {kind}={condition.status} {condition.reason}:"))
            console.print(Text(f"    {condition.message}"))
    console.print(stage_table(status, utc_now()))
    for url in sorted({stage.dashboard_url for stage in status.stages if stage.dashboard_url}):
        console.print(Text(f"Ray dashboard: {url}"))
    failed = status.condition(ConditionType.SUCCEEDED)
    is_failed = failed is not None and failed.status == ConditionStatus.FALSE
    return EXIT_FAILED if is_failed else EXIT_OK


def headline(view: JobView) -> str:
    """The job's state in a few words."""
    status = view.status
    if not status.conditions:
        return "not looked at yet; see that the controller runs"
    accepted = status.condition(ConditionType.ACCEPTED)
    if accepted is not None and accepted.status == ConditionStatus.FALSE:
        return "refused"
    if status.is_true(ConditionType.FINISHED):
        return "succeeded" if status.is_true(ConditionType.SUCCEEDED) else "failed"
    if view.job is not None and view.job.spec.suspend:
        return "suspended" if not _running(status) else "being suspended"
    summary = status.summary
    if summary is None or not summary.stage:
        return "accepted"
    return f"at {summary.stage}" + (f", {summary.progress}" if summary.progress else "")


def is_worth_telling(kind: ConditionType, status: JobStatus) -> bool:
    """Whether the condition's message says something the table doesn't."""
    condition = status.condition(kind)
    if condition is None:
        return False
    good = ConditionStatus.FALSE if kind == ConditionType.DEGRADED else ConditionStatus.TRUE
    return condition.status != good


def show_logs(target: ClusterTarget, *, step: str, follow: bool) -> int:
    """Prints the driver's log of the latest attempt of ``step`` (empty: the one that runs).

    Raises: ``SpecError`` where there is no such step, ``ExternalError`` where its pods are gone.
    """
    view = target.fetch()
    stage = choose_stage(view, step)
    pods = _submitters(target, stage)
    if not pods:
        uri = view.job.spec.storage.uri if view.job is not None else ""
        place = f"{uri}/jobs/{view.namespace}/{view.name}/{stage.step}/attempts"
        raise ExternalError(
            f"{stage.step}: its pods are gone; its logs are below "
            f"{place}/{stage.run}-{stage.attempt}/logs",
            reason="PodsGone",
        )
    name = pods[-1]["metadata"]["name"]
    container = pods[-1]["spec"]["containers"][0]["name"]
    for piece in target.api.stream_log(
        namespace=target.namespace, pod=name, container=container, follow=follow
    ):
        target.out.write(piece.decode(errors="replace"))
        target.out.flush()
    return EXIT_OK


def choose_stage(view: JobView, step: str) -> StageStatus:
    """The step spoken of: the one named, else the one that runs, else the last that began."""
    began = [stage for stage in view.status.stages if stage.attempt]
    if step:
        found = next((stage for stage in began if stage.step == step), None)
        if found is None:
            names = ", ".join(stage.step for stage in began) or "none"
            raise SpecError(
                f"--step: no such step has begun, got {step}; begun are {names}",
                reason="StepMissing",
            )
        return found
    if not began:
        raise SpecError(
            f"{view.key}: no step has begun yet; see distillery status {view.name}",
            reason="StepMissing",
        )
    running = [stage for stage in began if stage.state == StepState.RUNNING]
    return running[0] if running else began[-1]


def set_suspend(target: ClusterTarget, *, suspend: bool) -> int:
    """Has everything stopped, or has the job go on. What is finished is kept."""
    view = target.fetch()
    target.api.merge(
        DISTILLATION_JOBS,
        namespace=target.namespace,
        name=target.name,
        patch={"spec": {"suspend": suspend}},
    )
    if suspend:
        target.say(f"{view.key}: suspended; finished steps are kept, go on with distillery resume")
    else:
        target.say(f"{view.key}: goes on; finished steps are not run again")
    return EXIT_OK


def delete_job(target: ClusterTarget) -> int:
    """Deletes the resource with all its pods; artefacts stay."""
    view = target.fetch()
    target.api.delete(DISTILLATION_JOBS, namespace=target.namespace, name=target.name, uid=view.uid)
    uri = view.job.spec.storage.uri if view.job is not None else "storage"
    target.say(f"{view.key}: deleted; what it made stays in {uri}")
    return EXIT_OK


def show_report(target: ClusterTarget) -> int:
    """Prints the figures of every arm, and where report and weights lie. Exit code 1 without."""
    view = target.fetch()
    results = view.status.results
    if results is None or not results.report_uri:
        target.say(f"{view.key}: has no results yet; see distillery status {view.name}")
        return EXIT_FAILED
    for arm in results.arms:
        target.say(
            f"{arm.student} {arm.arm}: {results.metric} {arm.mean:.3f} "
            f"({arm.ci_low:.3f} to {arm.ci_high:.3f}, {arm.num_seeds} seeds)"
        )
    for student in results.promoted:
        target.say(f"{student}: promoted")
    target.say(f"report:  {results.report_uri}")
    target.say(f"weights: {results.checkpoint_uri}")
    return EXIT_OK


VERBS: dict[str, Callable[[ClusterTarget, Any], int]] = {
    "status": lambda target, _: show_status(target),
    "logs": lambda target, parsed: show_logs(target, step=parsed.step, follow=parsed.follow),
    "suspend": lambda target, _: set_suspend(target, suspend=True),
    "resume": lambda target, _: set_suspend(target, suspend=False),
    "delete": lambda target, _: delete_job(target),
    "report": lambda target, _: show_report(target),
}
"""What each verb does with its parsed arguments."""


def _running(status: JobStatus) -> bool:
    return any(stage.state == StepState.RUNNING for stage in status.stages)


def _submitters(target: ClusterTarget, stage: StageStatus) -> list[dict[str, Any]]:
    """The pods that follow the driver's log, oldest first."""
    page = target.api.list_page(
        PODS, namespace=target.namespace, labels=f"job-name={stage.ray_job_name}"
    )
    return sorted(page.items, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
