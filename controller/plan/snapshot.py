"""What the planner is given: the job, and every attempt made of its steps.

Built by the shell (``controller.cli.run``) from its state file and from Ray. A *run* is one
invocation of the command, or one generation of a resource: prepare runs first in every run.
"""

from dataclasses import dataclass
from enum import StrEnum

from distillery.progress import Outcome, Progress
from distillery.spec.job import DistillationJob
from distillery.spec.model import Model
from distillery.status import JobStatus, RuntimeStatus, StepFailures
from distillery.step_configs import Place
from distillery.steps import Step


class RayStatus(StrEnum):
    """A Ray job's status, as the Ray Jobs API names it; ``LOST``: Ray knows no such job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    LOST = "LOST"

    @property
    def is_final(self) -> bool:
        """Whether nothing of the job runs any more."""
        return self not in (RayStatus.PENDING, RayStatus.RUNNING)


class FailureKind(StrEnum):
    """Whose doing a failure is, and so which limit it counts against: ``OWN`` retries.maxAttempts,
    ``PREEMPTION`` retries.maxPreemptions, ``UNSCHEDULABLE`` a limit of its own."""

    OWN = "Own"
    PREEMPTION = "Preemption"
    UNSCHEDULABLE = "Unschedulable"


class Failure(Model):
    """How an attempt failed."""

    reason: str
    message: str
    retriable: bool
    kind: FailureKind = FailureKind.OWN


class Attempt(Model):
    """One try of a step.

    ``job_digest`` names the job file it was started for, ``config_hash`` what it was sent. Times
    are seconds since the epoch. ``ended_at`` is set once Ray said so and the log was read to its
    end, so ``outcome`` is then all there will ever be. ``adopted``: begun by an earlier run.
    ``evidence``: how the cluster saw it fail, where the step had no last word of its own; on a
    live attempt: why it must be stopped. ``lingers``: it has ended, but what it ran on is not gone
    yet, so its successor must wait. ``before`` counts the run's earlier failures of the step that
    are no longer among the attempts. ``waits_for``: what keeps it from running, in words.
    """

    step: str
    number: int
    run: str
    submission_id: str
    job_digest: str
    config_hash: str
    started_at: float
    ended_at: float | None = None
    ray_status: RayStatus = RayStatus.PENDING
    outcome: Outcome | None = None
    progress: Progress | None = None
    adopted: bool = False
    evidence: Failure | None = None
    lingers: bool = False
    before: StepFailures = StepFailures()
    waits_for: str = ""
    dashboard_url: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it may still write."""
        return self.ended_at is None

    def is_of(self, step: Step) -> bool:
        """Whether it is a try of ``step``."""
        return self.step == step.id


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong with the job's surroundings; its steps may go on."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What only a job in a Kubernetes cluster has.

    ``max_starts`` is how many steps may be started now; ``queue`` says in words why no more.
    """

    generation: int
    runtime: RuntimeStatus
    max_starts: int = 100
    queue: str = ""
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All the planner knows.

    ``attempts`` holds those of all runs, oldest first. ``suspended``: the user wants everything
    stopped. ``previous`` is the status as last recorded, for its transition times. At most
    ``max_parallel`` steps run at once. ``cluster`` is absent for the command on one machine.
    """

    job: DistillationJob
    job_digest: str
    place: Place
    run: str
    attempts: tuple[Attempt, ...] = ()
    suspended: bool = False
    previous: JobStatus | None = None
    max_parallel: int = 1
    cluster: Cluster | None = None

    @property
    def live(self) -> tuple[Attempt, ...]:
        """Attempts of any run that may still write."""
        return tuple(attempt for attempt in self.attempts if attempt.is_live)

    def attempts_of(self, step: Step) -> tuple[Attempt, ...]:
        """This run's attempts of ``step``, oldest first."""
        return tuple(each for each in self.attempts if each.run == self.run and each.is_of(step))

    def last_of_former_runs(self, step: Step) -> Attempt | None:
        """The step's latest attempt in former runs of a job in a cluster."""
        if self.cluster is None:
            return None
        former = [each for each in self.attempts if each.run != self.run and each.is_of(step)]
        return max(former, key=lambda each: each.number, default=None)

    def next_number(self, step: Step) -> int:
        """The number of the step's next attempt; never given twice, whatever the run."""
        return 1 + max((each.number for each in self.attempts if each.is_of(step)), default=0)
