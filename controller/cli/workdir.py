"""A run's folder: one command at a time, and its state written so that a crash leaves the old one.

```
state.json     every attempt, and the status (``RunState``)
cluster.json   the Ray head this run started; ray-token beside it
attempts/<step>-<n>/config.json   logs/<step>-<n>.log   scratch/
report.html    results.json       written by publish
```
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from controller.plan.snapshot import Attempt
from distillery.errors import ExternalError, ResourceError, SpecError
from distillery.spec.model import Model
from distillery.status import JobStatus

STATE_NAME = "state.json"
LOCK_NAME = ".lock"


class RunState(Model):
    """What the command remembers: ``published`` is the storage prefix whose report and results
    lie in the folder."""

    schema_version: int = 1
    job: str
    attempts: tuple[Attempt, ...] = ()
    status: JobStatus | None = None
    published: str = ""


@contextmanager
def locked_workdir(workdir: Path) -> Iterator[None]:
    """Makes the folder and holds it: the lock ends with the process, however that ends.

    Raises: ``ExternalError`` where another command holds it, ``ResourceError`` where it can't be
    made.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(workdir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ResourceError(
            f"{workdir}: can't be written, {error.strerror}; pass another folder with --workdir",
            reason="WorkdirUnwritable",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise ExternalError(
                f"{workdir}: another run is at work here, got process {holder or 'unknown'}; wait "
                "for it, end it with Ctrl-C, or pass another --workdir",
                reason="WorkdirBusy",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def read_state(workdir: Path, *, job: str) -> RunState:
    """The state of the run in the folder; a new one where there is none.

    Raises: ``SpecError`` where the folder is another job's, or the state can't be read.
    """
    path = workdir / STATE_NAME
    try:
        state = RunState.model_validate_json(path.read_text("utf-8"))
    except FileNotFoundError:
        return RunState(job=job)
    except ValidationError as error:
        raise SpecError(
            f"{path}: is no state of this version; pass a new --workdir (finished steps are found "
            "in storage, nothing is done twice)",
            reason="StateUnreadable",
        ) from error
    if state.job != job:
        raise SpecError(
            f"{workdir}: holds the run of another job, got '{state.job}'; pass another --workdir",
            reason="WorkdirOfAnotherJob",
        )
    return state


def write_state(workdir: Path, state: RunState) -> None:
    """Replaces the state: after a crash at any moment, the old or the new one is there, whole."""
    path = workdir / STATE_NAME
    draft = path.with_suffix(".json.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(state.model_dump_json(by_alias=True, exclude_none=True, indent=2))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
