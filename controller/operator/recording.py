"""Writes a job's status: only what has changed, as a merge patch that holds for one version.

Transitions go out at once; a change of progress alone has a token bucket of its own, and waits.
"""

from controller.jobs.views import JobView
from controller.kube.api import Json, WriteApi
from controller.kube.resources import DISTILLATION_JOBS
from controller.runtime.buckets import TokenBucket
from distillery.status import JobStatus

PROGRESS_WRITES_PER_S = 20.0


class StatusRecorder:
    """Records statuses.

    Args:
        progress_bucket: Of ``PROGRESS_WRITES_PER_S``.
    """

    def __init__(self, api: WriteApi, *, progress_bucket: TokenBucket) -> None:
        self._api = api
        self._bucket = progress_bucket

    def record(self, view: JobView, status: JobStatus) -> bool:
        """Makes ``status`` the job's. False: it holds but a newer progress, which must wait.

        Raises: ``ConflictError`` where the resource has changed since ``view``.
        """
        document = status.dump()
        patch = merge_patch(view.raw_status, document)
        if not patch:
            return True
        is_progress = without_progress(view.raw_status) == without_progress(document)
        if is_progress and not self._bucket.try_take():
            return False
        self._api.merge(
            DISTILLATION_JOBS,
            namespace=view.namespace,
            name=view.name,
            patch={"metadata": {"resourceVersion": view.resource_version}, "status": patch},
            subresource="status",
        )
        return True


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
