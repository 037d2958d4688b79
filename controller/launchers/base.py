"""What the reconciler needs of a way to run steps: pods of their own, or another's Ray cluster."""

from typing import Protocol

from controller.jobs.views import JobView
from controller.plan.actions import StartStep
from controller.plan.snapshot import Attempt
from distillery.errors import ExternalError, Problem
from distillery.spec.job import DistillationJob
from distillery.status import RuntimeStatus


class NameConflictError(ExternalError):
    """An object of that name is somebody else's: it is neither used nor touched."""


class RayClusterError(ExternalError):
    """The Ray cluster the job names can't be used: the reason is Ray's, or the token's."""


class Launcher(Protocol):
    """One way to run steps. Every call is safe to repeat."""

    finalizer: str
    """What the resource must carry while steps may run; empty: owner references suffice."""

    def scratch_dir(self, view: JobView) -> str:
        """Where the job's steps keep what outlives an attempt on the same machine."""
        ...

    def find_problems(self, job: DistillationJob) -> list[Problem]:
        """Why the job can't be run this way."""
        ...

    def observe(self, view: JobView, *, now: float) -> tuple[Attempt, ...]:
        """Of each step its latest attempt, which tells of the failures before it.

        Args:
            now: Seconds since the epoch.
        """
        ...

    def start(self, view: JobView, start: StartStep, runtime: RuntimeStatus) -> None:
        """Has the attempt run. Raises ``NameConflictError`` where its name is another's."""
        ...

    def stop(self, view: JobView, attempt: Attempt) -> None:
        """Has the attempt ended; it stays live until ``observe`` says that it has."""
        ...

    def may_wait(self, view: JobView, *, now: float) -> bool:
        """Whether a deleted job's steps may still take their time to stop."""
        ...

    def tidy(self, view: JobView, attempts: tuple[Attempt, ...], *, now: float) -> None:
        """Removes what is left of attempts that are over for long enough."""
        ...

    def forget(self, uid: str) -> None:
        """The job is gone: what was remembered of it may go."""
        ...
