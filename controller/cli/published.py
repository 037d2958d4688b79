"""Sees that the report and results in the run's folder are those of what the run published.

A publish step found finished writes nothing: then the folder may be empty, or hold the figures of
an edited job. On ``file://`` they are fetched from storage; elsewhere the user is told where.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from controller.cli.workdir import RunState, write_state
from controller.plan.judgement import judge
from controller.plan.snapshot import Snapshot
from distillery.results import Results
from distillery.spec.job import DistillationJob
from distillery.step_configs import Place
from distillery.steps import PUBLISH

REPORT_NAME = "report.html"
RESULTS_NAME = "results.json"


@dataclass(frozen=True, kw_only=True)
class Published:
    """``results`` is None where the folder hasn't got them; ``uri`` is their place in storage."""

    uri: str
    results: Results | None


def settle_results(workdir: Path, state: RunState, *, job: DistillationJob, run: str) -> Published:
    """What the run published, with report and results in ``workdir`` where they can be had."""
    snapshot = Snapshot(
        job=job,
        job_digest="",
        place=Place(scratch_dir=""),
        run=run,
        attempts=state.attempts,
    )
    manifest = judge(snapshot).known.manifests[PUBLISH.id]
    uri = f"{job.spec.storage.uri.rstrip('/')}/{manifest.prefix}"
    ran = any(each.run == run and each.step == PUBLISH.id for each in state.attempts)
    if not ran and state.published != manifest.prefix:
        for name in (REPORT_NAME, RESULTS_NAME):
            (workdir / name).unlink(missing_ok=True)
            if uri.startswith("file://"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(Path(unquote(urlsplit(uri).path)) / name, workdir / name)
    write_state(workdir, state.model_copy(update={"published": manifest.prefix}))
    return Published(uri=uri, results=read_results(workdir))


def read_results(workdir: Path) -> Results | None:
    """The results in the folder; None where there are none that can be read."""
    try:
        return Results.model_validate_json((workdir / RESULTS_NAME).read_text("utf-8"))
    except (FileNotFoundError, ValidationError):
        return None
