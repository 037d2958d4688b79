"""What a running step says: one-line records in its log, and one outcome at the end.

A step prints them (``ray_jobs.progress``); launchers read them out of the driver's log. Lines that
are not records are ordinary log lines. In a cluster a step also writes them to the job's progress
ConfigMap, as a ``StepRecord`` (``ray_jobs.progress_map``).
"""

import json
from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationError

from distillery.manifests import ManifestRef
from distillery.spec.model import Model

PROGRESS_MARK = "distillery.progress "
OUTCOME_MARK = "distillery.outcome "
MAX_SUMMARY_BYTES = 8192


class Phase(StrEnum):
    """What kind of waiting this is; a stall is judged by the phase's own limit."""

    STARTING = "Starting"
    LOADING_WEIGHTS = "LoadingWeights"
    RUNNING = "Running"
    UPLOADING = "Uploading"


class Progress(Model):
    """How far a step is. ``beat`` and ``work`` only ever grow (work: tokens, optimizer steps,
    bytes); ``done`` of ``total`` counts ``unit`` ("rows", "steps"); ``label`` says which part."""

    phase: Phase = Phase.RUNNING
    beat: int = 0
    """Grows as long as the process lives."""
    work: int = 0
    """Grows with what is done: tokens, optimizer steps, bytes. A stall is judged by it."""
    unit: str = Field(default="rows", max_length=32)
    """What ``done`` and ``total`` count."""
    label: str = Field(default="", max_length=256)
    """Which part of the step this is, such as a trial."""
    done: int = 0
    """How many units of this part are done."""
    total: int = 0
    """How many units this part has; 0 where that isn't known yet."""
    rejected: int = 0
    """How many of those done gave nothing usable."""
    tokens_per_second: float = 0.0
    """The latest rate of answering or training."""
    remaining_seconds: float | None = None
    """How long this part will take at its present rate."""


class OutcomeState(StrEnum):
    """How a step ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Outcome(Model):
    """The last record of a step. ``retriable`` says whether the same attempt could succeed later;
    ``manifest`` names what was committed (absent when failed)."""

    state: OutcomeState
    reason: str = ""
    message: str = ""
    retriable: bool = False
    manifest: ManifestRef | None = None
    summary: dict[str, Any] = Field(default_factory=dict)


class StepRecord(Model):
    """What a step's key of the job's progress ConfigMap holds. ``attempt`` and ``submission_id``
    say who wrote it, so that nobody takes a former attempt's word for the present one's;
    ``outcome`` is there from the attempt's end on."""

    attempt: int
    submission_id: str
    progress: Progress | None = None
    outcome: Outcome | None = None


def progress_line(progress: Progress) -> str:
    """The log line that carries ``progress``."""
    return PROGRESS_MARK + json.dumps(progress.dump())


def outcome_line(outcome: Outcome) -> str:
    """The log line that carries ``outcome``."""
    return OUTCOME_MARK + json.dumps(outcome.dump())


def parse_record(line: str) -> Progress | Outcome | None:
    """The record in ``line``; None for an ordinary log line or a record cut short by a kill."""
    for mark, record in ((PROGRESS_MARK, Progress), (OUTCOME_MARK, Outcome)):
        if line.startswith(mark):
            try:
                return record.model_validate_json(line[len(mark) :])
            except ValidationError:
                return None
    return None
