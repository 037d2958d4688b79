"""What a test says of one attempt: how its driver goes, what befalls its pods, how long it takes.

A script needs no node: ``drivers.py`` and ``kubelet.py`` act it out. Builders of pods' fates are
in ``fates.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum

from controller.kube.api import Json
from distillery.manifests import ManifestRef
from distillery.progress import Outcome, OutcomeState, Progress

LEAST_PATIENCE_S = 5.0


class DriverEnd(StrEnum):
    """What Ray says of a driver in the end. ``NEVER``: it runs on until it is stopped."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    NEVER = "NEVER"


@dataclass(frozen=True, kw_only=True)
class Said:
    """A record the driver writes ``after_s`` seconds of running."""

    after_s: float
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class PodFate:
    """What befalls one pod, once.

    ``after_s`` counts from its running; None: it doesn't get so far, and stays as it is for
    ``until_s`` (None: for ever). ``status`` makes the change of its status from the pod;
    ``is_deleted``: its object goes as well.
    """

    status: Callable[[Json], Json]
    node_type: str = "head"
    index: int = 0
    after_s: float | None = None
    until_s: float | None = None
    is_deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Script:
    """What befalls an attempt's pods. ``pods_linger_s``: how long they take to go once deleted."""

    fates: tuple[PodFate, ...] = ()
    pods_linger_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Behaviour(Script):
    """The whole life of an attempt. ``runs_s`` is the driver's time RUNNING.

    The outcome is written before the driver ends; None: it ends without a word. ``message`` is
    Ray's own.
    """

    runs_s: float = 10.0
    end: DriverEnd = DriverEnd.SUCCEEDED
    outcome: Outcome | None = None
    message: str = ""
    records: tuple[Said, ...] = ()


def succeeds(step: str, *, runs_s: float = 10.0, records: tuple[Said, ...] = ()) -> Behaviour:
    """A step that does what it should and names a manifest."""
    manifest = ManifestRef(prefix=f"jobs/{step}", sha256=f"sha-{step}")
    outcome = Outcome(state=OutcomeState.SUCCEEDED, manifest=manifest)
    return Behaviour(runs_s=runs_s, outcome=outcome, records=records)


def fails(reason: str, *, retriable: bool, runs_s: float = 10.0) -> Behaviour:
    """A step that fails and says why."""
    outcome = Outcome(
        state=OutcomeState.FAILED, reason=reason, message="it broke", retriable=retriable
    )
    return Behaviour(
        runs_s=runs_s,
        end=DriverEnd.FAILED,
        outcome=outcome,
        message="Job entrypoint command failed with exit code 1",
    )


def hangs() -> Behaviour:
    """A step that never ends and never moves."""
    return Behaviour(end=DriverEnd.NEVER)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long KubeRay, nodes and Ray take, in seconds: as measured with the real ones."""

    pods_ready_s: float = 40.0
    submitter_start_s: float = 3.0
    submit_s: float = 6.0
    pending_s: float = 2.0
    submitter_end_s: float = 5.0
    status_check_timeout_s: float = 300.0
    transition_grace_s: float = 300.0
    submitter_finished_timeout_s: float = 30.0

    def scaled(self, factor: float) -> "Timing":
        """All of it ``factor`` times as long. KubeRay's own patience stays above the second by
        which timestamps are exact."""
        scaled = {each.name: getattr(self, each.name) * factor for each in fields(self)}
        for name in (
            "status_check_timeout_s",
            "transition_grace_s",
            "submitter_finished_timeout_s",
        ):
            scaled[name] = max(scaled[name], LEAST_PATIENCE_S)
        return Timing(**scaled)
