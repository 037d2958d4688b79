"""What tests look for in a job's status and in its objects."""

from controller.kube.api import Json
from controller.launchers.kuberay.labels import ATTEMPT, STEP
from distillery.conditions import ConditionType
from distillery.status import JobStatus, StageStatus


def stage_of(status: JobStatus, step: str) -> StageStatus:
    """What the status says of a step; nothing was done of one it doesn't know."""
    return next(
        (each for each in status.stages if each.step == step),
        StageStatus.model_validate({"stage": step.partition("-")[0], "state": "Waiting"}),
    )


def condition_of(status: JobStatus, kind: ConditionType) -> tuple[str, str, str]:
    """Status, reason and message of a condition; empty before there is one."""
    found = status.condition(kind)
    return (found.status.value, found.reason, found.message) if found else ("", "", "")


def attempt_of(raw: Json) -> str:
    """``<step>/<attempt>`` of an object."""
    labels = raw["metadata"]["labels"]
    return f"{labels[STEP]}/{labels[ATTEMPT]}"
