"""Makes Ray jobs of steps: starts, watches and stops them by their submission ids.

Serves the local cluster and any existing one alike. What a step is sent is also written to
``<workdir>/attempts/<step>-<n>/config.json``; its log is ``<workdir>/logs/<step>-<n>.log``.
"""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.launchers.driver_log import (
    DriverLog,
    FetchedLogSource,
    LocalLogSource,
    LogSource,
)
from controller.launchers.ray_jobs_api import RayJob, RayJobsApi
from controller.plan.snapshot import Attempt, RayStatus
from distillery.progress import Outcome, Progress
from distillery.stage_configs import CONFIG_VARIABLE, StageConfig
from distillery.steps import Stage

Entrypoint = Callable[[Stage], Sequence[str]]


def stage_entrypoint(stage: Stage) -> Sequence[str]:
    """The command that runs a stage, by the Python that runs this."""
    return (sys.executable, "-m", f"ray_jobs.{stage}")


def remote_entrypoint(stage: Stage) -> Sequence[str]:
    """The command that runs a stage where only the cluster knows its Python."""
    return ("python", "-m", f"ray_jobs.{stage}")


def build_step_job(submission_id: str, config: StageConfig, entrypoint: Entrypoint) -> RayJob:
    """The Ray job of an attempt, readable in Ray's dashboard."""
    context = config.context
    command = shlex.join(entrypoint(Stage(config.stage)))
    return RayJob(
        submission_id=submission_id,
        # Without exec a shell stands between Ray and the step, and may outlive it.
        entrypoint=f"exec {command}",
        env_vars={CONFIG_VARIABLE: json.dumps(config.dump())},
        metadata={
            "job_name": f"{context.job} {context.step} attempt {context.attempt}",
            "job": context.job,
            "namespace": context.namespace,
            "stage": config.stage,
            "step": context.step,
            "attempt": str(context.attempt),
        },
    )


def log_path(workdir: Path, *, step: str, number: int) -> Path:
    """Where the log of an attempt is kept."""
    return workdir / "logs" / f"{step}-{number}.log"


def config_path(workdir: Path, *, step: str, number: int) -> Path:
    """Where what an attempt was sent is kept."""
    return workdir / "attempts" / f"{step}-{number}" / "config.json"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What is seen of an attempt. Once ``status`` is final, the log has been read to its end."""

    status: RayStatus
    progress: Progress | None
    outcome: Outcome | None


class RayLauncher:
    """Runs steps on one Ray cluster.

    Args:
        api: The cluster.
        workdir: The run's folder.
        log_dir: Ray's folder of logs, where it is on this machine.
        entrypoint: The command of a stage.
    """

    def __init__(
        self,
        api: RayJobsApi,
        *,
        workdir: Path,
        log_dir: Path | None = None,
        entrypoint: Entrypoint = stage_entrypoint,
    ) -> None:
        self._api = api
        self._workdir = workdir
        self._log_dir = log_dir
        self._entrypoint = entrypoint
        self._logs: dict[str, DriverLog] = {}

    def launch(self, attempt: Attempt, config: StageConfig) -> None:
        """Has Ray run ``attempt``; a second call changes nothing."""
        path = config_path(self._workdir, step=attempt.step, number=attempt.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(config.dump(), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", "utf-8")
        self._api.submit(build_step_job(attempt.submission_id, config, self._entrypoint))

    def observe(self, attempt: Attempt) -> Observation:
        """How ``attempt`` is now."""
        status = self._api.fetch_status(attempt.submission_id)
        if status == RayStatus.LOST and attempt.submission_id not in self._logs:
            # Nothing is left to read: what an earlier run copied stays as it is.
            return Observation(status=status, progress=attempt.progress, outcome=None)
        log = self._log(attempt)
        if status != RayStatus.LOST:
            log.follow(to_end=status.is_final)
        return Observation(status=status, progress=log.progress, outcome=log.outcome)

    def stop(self, attempt: Attempt) -> None:
        """Asks Ray to stop ``attempt``; ``observe`` tells when it has."""
        self._api.stop(attempt.submission_id)

    def _log(self, attempt: Attempt) -> DriverLog:
        if attempt.submission_id not in self._logs:
            self._logs[attempt.submission_id] = DriverLog(
                self._source(attempt.submission_id),
                copy=log_path(self._workdir, step=attempt.step, number=attempt.number),
            )
        return self._logs[attempt.submission_id]

    def _source(self, submission_id: str) -> LogSource:
        if self._log_dir is not None:
            return LocalLogSource(self._log_dir / f"job-driver-{submission_id}.log")
        return FetchedLogSource(lambda: self._api.fetch_log(submission_id))
