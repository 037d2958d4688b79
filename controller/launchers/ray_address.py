"""Runs a job's steps on an existing Ray cluster: ``spec.runtime.rayAddress``.

Nothing there is owned by the resource, so a finalizer has the steps stopped before it goes. The
cluster's token is the only secret the controller ever reads. Looking at Ray jobs is
``ray_poller.py``'s, in threads of its own.
"""

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.jobs.traces import Trace, counts_before, entry_of, recall
from controller.jobs.views import JobView
from controller.kube.api import KubeApi
from controller.kube.faults import ForbiddenError, NotFoundError
from controller.kube.resources import CONFIG_MAPS, SECRETS
from controller.launchers.base import RayClusterError
from controller.launchers.creating import create_own
from controller.launchers.kuberay.labels import job_labels, owner_reference
from controller.launchers.ray_jobs_api import RayJobsApi
from controller.launchers.ray_launcher import Entrypoint, build_step_job, remote_entrypoint
from controller.launchers.ray_poller import RayPoller
from controller.plan.actions import StartStep
from controller.plan.snapshot import Attempt
from distillery.errors import ExternalError, Problem, TransientError
from distillery.names import child_name, progress_map_name
from distillery.progress import StepRecord
from distillery.spec.job import DistillationJob
from distillery.status import RuntimeStatus
from distillery.steps import Step, steps_of

FINALIZER = "distillery.dev/stop-ray-jobs"
GIVE_UP_S = 60.0


@dataclass(frozen=True, kw_only=True)
class _Started:
    """An attempt that was submitted, but is in no status yet."""

    number: int
    run: int
    name: str
    started_at: float


class RayAddressLauncher:
    """Steps as Ray jobs on the cluster the job names.

    Args:
        api: For the token's Secret, and to keep what steps said last.
        records: What the steps of a job said last, by step id.
        scratch_dir: Folder on that cluster's nodes that outlives an attempt.
        wall: Seconds since the epoch.
    """

    finalizer = FINALIZER

    def __init__(
        self,
        api: KubeApi,
        poller: RayPoller,
        *,
        records: Callable[[JobView], Mapping[str, StepRecord]],
        scratch_dir: str,
        wall: Callable[[], float],
        entrypoint: Entrypoint = remote_entrypoint,
    ) -> None:
        self._api = api
        self._poller = poller
        self._records = records
        self._scratch_dir = scratch_dir
        self._wall = wall
        self._entrypoint = entrypoint
        self._lock = threading.Lock()
        self._started: dict[tuple[str, str], _Started] = {}
        self._leaving: dict[str, float] = {}

    def scratch_dir(self, view: JobView) -> str:
        """See ``Launcher``."""
        return f"{self._scratch_dir}/{view.namespace}/{view.name}"

    def find_problems(self, job: DistillationJob) -> list[Problem]:
        """See ``Launcher``. What can't go with an address, the job's own rules say."""
        return []

    def observe(self, view: JobView, *, now: float) -> tuple[Attempt, ...]:
        """See ``Launcher``."""
        if view.job is None:
            return ()
        records = self._records(view)
        traces = [self._trace(view, step, records) for step in steps_of(view.job.spec)]
        return tuple(self._look(view, trace, now) for trace in traces if trace is not None)

    def start(self, view: JobView, start: StartStep, runtime: RuntimeStatus) -> None:
        """See ``Launcher``. Submitting again changes nothing: the id is the attempt's."""
        name = child_name(
            job=view.name,
            job_uid=view.uid,
            step_id=start.step.id,
            stage=start.step.stage,
            attempt=start.number,
        )
        self._ensure_map(view)
        api = self._connect(view)
        try:
            api.submit(build_step_job(name, start.config, self._entrypoint))
        except (ExternalError, TransientError) as error:
            raise RayClusterError(error.message, reason=error.reason) from error
        finally:
            api.close()
        with self._lock:
            self._started[view.uid, start.step.id] = _Started(
                number=start.number, run=runtime.run, name=name, started_at=self._wall()
            )

    def stop(self, view: JobView, attempt: Attempt) -> None:
        """See ``Launcher``."""
        api = self._connect(view)
        try:
            api.stop(attempt.submission_id)
        finally:
            api.close()

    def may_wait(self, view: JobView, *, now: float) -> bool:
        """See ``Launcher``: a cluster that is gone must not hold the resource for ever."""
        with self._lock:
            since = self._leaving.setdefault(view.uid, now)
        return now - since < GIVE_UP_S

    def tidy(self, view: JobView, attempts: tuple[Attempt, ...], *, now: float) -> None:
        """See ``Launcher``: what is recorded as ended need not be looked at."""
        for attempt in attempts:
            entry = entry_of(view.status, attempt.step)
            if entry is not None and entry.end_time and entry.attempt == attempt.number:
                self._poller.forget(attempt.submission_id)

    def forget(self, uid: str) -> None:
        """See ``Launcher``."""
        with self._lock:
            for key in [key for key in self._started if key[0] == uid]:
                self._poller.forget(self._started.pop(key).name)
            self._leaving.pop(uid, None)

    def _trace(self, view: JobView, step: Step, records: Mapping[str, StepRecord]) -> Trace | None:
        entry = entry_of(view.status, step.id)
        with self._lock:
            started = self._started.get((view.uid, step.id))
        if started is not None and (entry is None or entry.attempt < started.number):
            return Trace(
                step=step.id,
                number=started.number,
                run=started.run,
                name=started.name,
                started_at=started.started_at,
                before=counts_before(entry, run=started.run),
            )
        if entry is None:
            return None
        record = records.get(step.id)
        return Trace(
            step=step.id,
            number=entry.attempt,
            run=entry.run,
            name=entry.ray_job_name,
            started_at=entry.start_time.timestamp() if entry.start_time else 0.0,
            entry=entry,
            record=record if record and record.submission_id == entry.ray_job_name else None,
        )

    def _look(self, view: JobView, trace: Trace, now: float) -> Attempt:
        attempt = recall(trace)
        if not attempt.is_live:
            return attempt
        sighting = self._poller.watch(trace.name, key=view.key, connect=lambda: self._connect(view))
        seen = sighting.seen
        if seen is None:
            return attempt.model_copy(update={"waits_for": sighting.silence})
        address = view.job.spec.runtime.ray_address if view.job else ""
        attempt = attempt.model_copy(
            update={
                "ray_status": seen.status,
                "progress": seen.progress or attempt.progress,
                "outcome": seen.outcome or attempt.outcome,
                "waits_for": sighting.silence,
                "dashboard_url": f"{address}/#/jobs/{trace.name}",
            }
        )
        if not seen.status.is_final:
            return attempt
        self._keep(view, attempt)
        return attempt.model_copy(update={"ended_at": now})

    def _keep(self, view: JobView, attempt: Attempt) -> None:
        """What the step said last, kept where its pods would have put it: that Ray cluster may
        forget."""
        record = StepRecord(
            attempt=attempt.number,
            submission_id=attempt.submission_id,
            progress=attempt.progress,
            outcome=attempt.outcome,
        )
        self._api.merge(
            CONFIG_MAPS,
            namespace=view.namespace,
            name=progress_map_name(view.name),
            patch={"data": {attempt.step: json.dumps(record.dump())}},
        )

    def _ensure_map(self, view: JobView) -> None:
        if view.job is None:
            return
        name = progress_map_name(view.name)
        body = {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": {
                "name": name,
                "namespace": view.namespace,
                "labels": job_labels(view.job),
                "ownerReferences": [owner_reference(view.job, view.uid)],
            },
        }
        create_own(self._api, CONFIG_MAPS, body, uid=view.uid)

    def _connect(self, view: JobView) -> RayJobsApi:
        if view.job is None:
            raise AssertionError(f"{view.key}: has no specification to connect by")
        runtime = view.job.spec.runtime
        ref = runtime.ray_token_secret_ref
        token = ""
        if ref is not None:
            try:
                secret = self._api.fetch(SECRETS, namespace=view.namespace, name=ref.name)
            except (NotFoundError, ForbiddenError) as error:
                raise RayClusterError(
                    f"spec.runtime.rayTokenSecretRef: can't be read, got {error.reason} for secret "
                    f"{ref.name[:80]}; create it, and let the controller get it by name",
                    reason="RayTokenUnreadable",
                ) from error
            token = decode_token(secret.get("data") or {}, name=ref.name, key=ref.key)
        return RayJobsApi(runtime.ray_address, token=token)


def decode_token(data: dict[str, str], *, name: str, key: str) -> str:
    """The token in a Secret's data. Raises ``RayClusterError`` where it isn't there."""
    try:
        return base64.b64decode(data[key], validate=True).decode().strip()
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise RayClusterError(
            f"spec.runtime.rayTokenSecretRef: secret {name[:80]} has no readable key, got "
            f"'{key[:80]}'; put the Ray cluster's token there",
            reason="RayTokenUnreadable",
        ) from error
