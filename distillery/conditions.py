"""Condition types and reasons: the closed vocabulary of a job's status.

Reasons of a step's failure come from the step itself (``errors.DistilleryError.reason``); those
here are the planner's own.
"""

from enum import StrEnum

from distillery.steps import Stage


class ConditionType(StrEnum):
    """What a job's condition speaks of."""

    ACCEPTED = "Accepted"
    ADMITTED = "Admitted"
    PREPARED = "Prepared"
    GENERATED = "Generated"
    CURATED = "Curated"
    TRAINED = "Trained"
    EVALUATED = "Evaluated"
    PUBLISHED = "Published"
    PROMOTED = "Promoted"
    DEGRADED = "Degraded"
    SUCCEEDED = "Succeeded"
    FINISHED = "Finished"


STAGE_CONDITIONS: dict[Stage, ConditionType] = {
    Stage.PREPARE: ConditionType.PREPARED,
    Stage.GENERATE: ConditionType.GENERATED,
    Stage.CURATE: ConditionType.CURATED,
    Stage.TRAIN: ConditionType.TRAINED,
    Stage.EVALUATE: ConditionType.EVALUATED,
    Stage.PUBLISH: ConditionType.PUBLISHED,
}


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition, or a step, is as it is."""

    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    IMAGE_TOO_OLD = "ImageTooOld"
    THROTTLED = "Throttled"
    QUEUED = "Queued"
    ADMITTED = "Admitted"
    NAME_CONFLICT = "NameConflict"
    RAY_JOB_CRD_MISSING = "RayJobCrdMissing"
    NOT_PERMITTED = "NotPermitted"
    HEALTHY = "Healthy"
    RULE_HELD = "RuleHeld"
    RULE_NOT_HELD = "RuleNotHeld"
    STALLED = "Stalled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    WAITING = "Waiting"
    RUNNING = "Running"
    BACKING_OFF = "BackingOff"
    DONE = "Done"
    ALREADY_FINISHED = "AlreadyFinished"
    FAILED = "Failed"
    UPSTREAM_FAILED = "UpstreamFailed"
    FAILED_FAST = "FailedFast"
    SUSPENDED = "Suspended"
    DRIVER_DIED = "DriverDied"
    OUTCOME_MISSING = "OutcomeMissing"
    VERDICT_UNREADABLE = "VerdictUnreadable"
    STOPPED_FROM_OUTSIDE = "StoppedFromOutside"
    STUDENTS_FAILED = "StudentsFailed"
