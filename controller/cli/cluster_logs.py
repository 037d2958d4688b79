"""The log of a step in a cluster: which step, which pod, and where it is once the pods are gone.

Only what the API server hands out is read: the job's storage and Ray's dashboard are named in
messages, for this command has no credentials for them. The other verbs are ``cluster.py``.
"""

import codecs
from typing import Any

from controller.cli.cluster_target import ClusterTarget
from controller.jobs.views import JobView
from controller.kube.faults import InvalidError, NotFoundError
from controller.kube.resources import PODS
from distillery.errors import ExternalError, SpecError, word
from distillery.status import StageStatus, StepState

_ORDER = (StepState.RUNNING, StepState.BACKING_OFF, StepState.FAILED)
"""Which step is spoken of where none is named."""


def show_logs(target: ClusterTarget, *, step: str, follow: bool) -> int:
    """Prints the driver's log of the latest attempt of ``step``; returns 0.

    Args:
        step: Such as ``train-small``; empty: as ``choose_stage`` says.
        follow: Go on as it grows, until its container ends.

    Raises: ``SpecError`` where there is no such step, ``ExternalError`` where there is no log to be
    had from a pod.
    """
    view = target.fetch()
    stage = choose_stage(view, step)
    pods = [] if _ray_address(view) else _submitters(target, stage)
    if not pods:
        raise _elsewhere(target, view, stage)
    pod = pods[-1]
    if (pod.get("status") or {}).get("phase") == "Pending":
        # Of a pod without a node the server gives an empty log.
        raise _not_begun(target, stage)
    name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
    pieces = target.api.stream_log(
        namespace=target.namespace, pod=name, container=container, follow=follow
    )
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    try:
        for piece in pieces:
            target.out.write(decoder.decode(piece))
            target.out.flush()
    except InvalidError as error:
        raise _not_begun(target, stage) from error
    except NotFoundError as error:
        raise _gone(view, stage) from error
    target.out.write(decoder.decode(b"", final=True))
    return 0


def choose_stage(view: JobView, step: str) -> StageStatus:
    """The step spoken of: the one named, else one that runs, waits to be tried again or has failed,
    else the last that began. Raises ``SpecError`` where there is none."""
    began = [stage for stage in view.status.stages if stage.attempt]
    if step:
        found = next((stage for stage in began if stage.step == step), None)
        if found is None:
            names = ", ".join(stage.step for stage in began) or "none"
            problem = f"no such step has begun, got '{step[:60]}'; begun are {names}"
            raise SpecError(word("--step", problem), reason="StepMissing")
        return found
    if not began:
        raise SpecError(
            word(view.key, f"no step has begun yet; see distillery status {view.name}"),
            reason="StepMissing",
        )
    speak = [stage for state in _ORDER for stage in began if stage.state == state]
    # One that waits may have begun in a run before.
    done = [stage for stage in began if stage.state != StepState.WAITING] or began
    return speak[0] if speak else done[-1]


def _ray_address(view: JobView) -> str:
    return view.job.spec.runtime.ray_address if view.job is not None else ""


def _submitters(target: ClusterTarget, stage: StageStatus) -> list[dict[str, Any]]:
    """The pods that follow the driver's log, oldest first."""
    page = target.api.list_page(
        PODS, namespace=target.namespace, labels=f"job-name={stage.ray_job_name}"
    )
    return sorted(page.items, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def _elsewhere(target: ClusterTarget, view: JobView, stage: StageStatus) -> ExternalError:
    """Where the log is, if not in a pod of the job."""
    if address := _ray_address(view):
        problem = f"its log is on another's Ray cluster; see {address}/#/jobs/{stage.ray_job_name}"
        return ExternalError(word(stage.step, problem), reason="LogElsewhere")
    if stage.state == StepState.RUNNING:
        return _not_begun(target, stage)
    return _gone(view, stage)


def _not_begun(target: ClusterTarget, stage: StageStatus) -> ExternalError:
    problem = f"its driver has not begun, there is no log yet; see {target.command('status')}"
    return ExternalError(word(stage.step, problem), reason="LogMissing")


def _gone(view: JobView, stage: StageStatus) -> ExternalError:
    root = view.job.spec.storage.uri.rstrip("/") if view.job is not None else "its storage"
    place = f"{root}/jobs/{view.namespace}/{view.name}/{stage.step}/attempts"
    problem = f"its pods are gone; its logs are below {place}/{stage.run}-{stage.attempt}/logs"
    return ExternalError(word(stage.step, problem), reason="PodsGone")
