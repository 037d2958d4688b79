"""Looks at Ray jobs on other people's clusters from time to time, outside reconcile.

One status request for each job every few seconds; its driver's log is fetched the more rarely the
longer it has become. What was seen last is kept; a change wakes the job it belongs to. Used by
``ray_address.py``; the threads that call ``poll`` are ``controller.runtime.workers``.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.launchers.driver_log import DriverLog, FetchedLogSource
from controller.launchers.ray_jobs_api import RayJobsApi
from controller.launchers.ray_launcher import Observation
from controller.plan.snapshot import RayStatus
from distillery.errors import DistilleryError

POLL_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What was seen of a Ray job last; ``seen`` is None before the first answer. ``silence`` says
    in words why there was no newer one."""

    seen: Observation | None = None
    silence: str = ""


@dataclass(kw_only=True)
class _Watched:
    key: str
    connect: Callable[[], RayJobsApi]
    sighting: Sighting = Sighting()
    log: DriverLog | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class RayPoller:
    """Remembers which Ray jobs to look at.

    Args:
        schedule: Has ``poll`` called with the id as soon as may be.
        wake: Told the key of the job whose Ray job has changed.
    """

    def __init__(self, *, schedule: Callable[[str], None], wake: Callable[[str], None]) -> None:
        self._schedule = schedule
        self._wake = wake
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    def watch(self, submission_id: str, *, key: str, connect: Callable[[], RayJobsApi]) -> Sighting:
        """What is known of the Ray job; from now on it is looked at."""
        with self._lock:
            watched = self._watched.get(submission_id)
            if watched is not None:
                return watched.sighting
            self._watched[submission_id] = _Watched(key=key, connect=connect)
        self._schedule(submission_id)
        return Sighting()

    def forget(self, submission_id: str) -> None:
        """Nobody asks for the Ray job any more."""
        with self._lock:
            self._watched.pop(submission_id, None)

    def poll(self, submission_id: str) -> float | None:
        """Looks once. Returns: Seconds until the next look; None: it needs no more."""
        watched = self._watched.get(submission_id)
        if watched is None:
            return None
        with watched.lock:
            before = watched.sighting
            watched.sighting = self._look(submission_id, watched)
        if watched.sighting != before:
            self._wake(watched.key)
        seen = watched.sighting.seen
        return None if seen is not None and seen.status.is_final else POLL_S

    def _look(self, submission_id: str, watched: _Watched) -> Sighting:
        try:
            api = watched.connect()
            status = api.fetch_status(submission_id)
            if watched.log is None:
                watched.log = DriverLog(FetchedLogSource(lambda: api.fetch_log(submission_id)))
            if status != RayStatus.LOST:
                watched.log.follow(to_end=status.is_final)
        except DistilleryError as error:
            return Sighting(seen=watched.sighting.seen, silence=error.message)
        log = watched.log
        return Sighting(seen=Observation(status=status, progress=log.progress, outcome=log.outcome))
