"""Writes a job's status: only what has changed, as a merge patch that holds for one version.

Transitions go out at once; a change of progress alone has a token bucket of its own, and waits. A
place in the queue alone is told as often as its bucket allows: it changes with every start of
another job.
"""

import threading

from controller.jobs.views import JobView
from controller.kube.api import Json, WriteApi
from controller.kube.resources import DISTILLATION_JOBS
from controller.runtime.buckets import TokenBucket
from distillery.conditions import Reason
from distillery.status import JobStatus

PROGRESS_WRITES_PER_S = 20.0
PLACE_WRITES_PER_S = 5.0
_MIN_WAIT_S = 1.0


class StatusRecorder:
    """Records statuses.

    Args:
        progress_bucket: Of ``PROGRESS_WRITES_PER_S``.
        place_bucket: Of ``PLACE_WRITES_PER_S``; None: every place is told.
    """

    def __init__(
        self,
        api: WriteApi,
        *,
        progress_bucket: TokenBucket,
        place_bucket: TokenBucket | None = None,
    ) -> None:
        self._api = api
        self._bucket = progress_bucket
        self._places = place_bucket
        self._late: set[str] = set()
        self._lock = threading.Lock()

    def record(self, view: JobView, status: JobStatus) -> float:
        """Makes ``status`` the job's.

        Returns: Seconds after which to try again, for a newer progress must wait; 0: it holds.

        Raises: ``ConflictError`` where the resource has changed since ``view``.
        """
        document = status.dump()
        patch = merge_patch(view.raw_status, document)
        if not patch:
            return 0.0
        old, new = without_progress(view.raw_status), without_progress(document)
        is_progress = old == new
        if is_progress and (wait_s := self._wait_s(view.key)):
            return wait_s
        if not is_progress and without_place(old) == without_place(new) and self._is_crowded():
            return 0.0
        self._api.merge(
            DISTILLATION_JOBS,
            namespace=view.namespace,
            name=view.name,
            patch={"metadata": {"resourceVersion": view.resource_version}, "status": patch},
            subresource="status",
        )
        self.forget(view.key)
        return 0.0

    def forget(self, key: str) -> None:
        """The job has nothing to be written any more."""
        with self._lock:
            self._late.discard(key)

    def _is_crowded(self) -> bool:
        """Whether too many places are being told already."""
        return self._places is not None and not self._places.try_take()

    def _wait_s(self, key: str) -> float:
        """Takes a token; where there is none, when the job's turn may be, with so many late."""
        if self._bucket.try_take():
            return 0.0
        with self._lock:
            self._late.add(key)
            return max(_MIN_WAIT_S, len(self._late) / PROGRESS_WRITES_PER_S)


def merge_patch(old: Json, new: Json) -> Json:
    """The JSON merge patch (RFC 7386) that makes ``new`` of ``old``; empty where they are equal.
    Lists are replaced whole."""
    patch: Json = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_patch(before, value):
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch


def without_progress(status: Json) -> Json:
    """The status but for what changes all the time."""
    stages = [
        {name: value for name, value in stage.items() if name != "progress"}
        for stage in status.get("stages", [])
    ]
    return {**status, "stages": stages, "summary": None}


def without_place(status: Json) -> Json:
    """The status but for what it says of the job's place in the queue."""
    conditions = [
        {name: value for name, value in each.items() if name != "message"}
        if each.get("reason") == Reason.THROTTLED
        else each
        for each in status.get("conditions", [])
    ]
    return {**status, "conditions": conditions}
