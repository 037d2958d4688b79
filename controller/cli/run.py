"""``distillery run``: from a job file to an exit code.

Takes the folder, finds or starts Ray, runs ``loop.RunLoop``, and tells how it ended. Nothing it
starts outlives it, but by ``kill -9``; then the next run takes over or stops what is left.
"""

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console

from controller.cli.ending import tell_failure, tell_interrupted, tell_success
from controller.cli.interrupts import Interrupted, Interrupts
from controller.cli.loop import RunIdentity, RunLoop, View
from controller.cli.published import settle_results
from controller.cli.views import PlainView, TerminalView
from controller.cli.workdir import locked_workdir, read_state
from controller.launchers.local_cluster import LocalCluster
from controller.launchers.ray_jobs_api import RayJobsApi
from controller.launchers.ray_launcher import (
    Entrypoint,
    RayLauncher,
    remote_entrypoint,
    stage_entrypoint,
)
from distillery.conditions import ConditionType
from distillery.errors import SpecError
from distillery.spec.job import DistillationJob
from distillery.step_configs import Place

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_SPEC = 2


LOG_COLUMNS = 160
"""How wide lines may be where the output is no terminal."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """``command`` is what the user typed, told back when a run can be resumed. ``ray_address``:
    an existing cluster's dashboard; empty: start one here."""

    workdir: Path
    ray_address: str
    command: str
    environ: Mapping[str, str]
    out: TextIO


def run_job(
    job: DistillationJob,
    options: RunOptions,
    *,
    interrupts: Interrupts,
    entrypoint: Entrypoint | None = None,
) -> int:
    """Runs the job; returns the command's exit code.

    Args:
        entrypoint: What runs a stage. Default: the stages themselves.

    Raises: ``DistilleryError`` for what keeps the run from going on at all.
    """
    workdir = options.workdir.resolve()
    # A file has no width of its own, and rich's 80 columns would cut the table.
    console = Console(file=options.out)
    if not console.is_terminal:
        console = Console(file=options.out, width=LOG_COLUMNS)
    with locked_workdir(workdir):
        state = read_state(workdir, job=job.metadata.name)
        identity = RunIdentity(
            job=job,
            place=Place(scratch_dir=str(workdir / "scratch"), output_dir=str(workdir)),
            run=secrets.token_hex(3),
        )
        try:
            with (
                _open_view(console, options.out) as view,
                _launcher(options, workdir, view, interrupts, entrypoint) as launcher,
            ):
                loop = RunLoop(
                    identity,
                    workdir=workdir,
                    state=state,
                    launcher=launcher,
                    view=view,
                    clock=time.time,
                )
                status = loop.run(interrupts)
        except Interrupted:
            tell_interrupted(console, command=options.command)
            return interrupts.exit_code
        if status.is_true(ConditionType.SUCCEEDED):
            found = settle_results(workdir, loop.state, job=job, run=identity.run)
            tell_success(console, found, workdir=workdir)
            return EXIT_OK
        if interrupts.has_come and not status.is_true(ConditionType.FINISHED):
            tell_interrupted(console, command=options.command)
            return interrupts.exit_code
        tell_failure(
            console,
            status,
            attempts=loop.state.attempts,
            workdir=workdir,
            command=options.command,
        )
        return EXIT_FAILED


def _open_view(console: Console, out: TextIO) -> TerminalView | PlainView:
    return TerminalView(console) if console.is_terminal else PlainView(out)


@contextmanager
def _launcher(
    options: RunOptions,
    workdir: Path,
    view: View,
    interrupts: Interrupts,
    entrypoint: Entrypoint | None,
) -> Iterator[RayLauncher]:
    if options.ray_address:
        api = RayJobsApi(options.ray_address, token=read_token(options.environ))
        try:
            view.say(f"Ray {api.fetch_version()}, dashboard: {api.address}")
            yield RayLauncher(api, workdir=workdir, entrypoint=entrypoint or remote_entrypoint)
        finally:
            api.close()
        return
    cluster = LocalCluster(workdir, environ=options.environ, sleep=interrupts.sleep)
    record = cluster.find()
    if record is None:
        view.say("starting Ray on this machine")
        record = cluster.start()
    else:
        view.say("Ray still runs from before, taken over")
    api = RayJobsApi(record.address, token=record.read_token())
    try:
        view.say(f"Ray dashboard: {record.address} (token: {record.token_path})")
        yield RayLauncher(
            api,
            workdir=workdir,
            log_dir=record.log_dir,
            entrypoint=entrypoint or stage_entrypoint,
        )
    finally:
        api.close()
        cluster.stop(record)


def read_token(environ: Mapping[str, str]) -> str:
    """Ray's token, found where Ray itself looks for it; empty where there is none.

    Raises: ``SpecError`` where ``RAY_AUTH_TOKEN_PATH`` names no readable file.
    """
    if token := environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    if path := environ.get("RAY_AUTH_TOKEN_PATH", ""):
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise SpecError(
                f"RAY_AUTH_TOKEN_PATH: can't be read, got '{path}'; name the file that holds the "
                "cluster's token",
                reason="RayTokenUnreadable",
            ) from error
    default = Path(environ.get("HOME", os.path.expanduser("~"))) / ".ray" / "auth_token"
    return default.read_text("utf-8").strip() if default.is_file() else ""
