"""Progress in words and numbers, for the terminal and for log lines alike. Pure."""

import re
from datetime import datetime

from distillery.conditions import Reason
from distillery.progress import Phase, Progress
from distillery.sizing.estimates import Estimate
from distillery.status import StageStatus, StepState

_PHASES = {
    Phase.STARTING: "starting",
    Phase.LOADING_WEIGHTS: "loading weights",
    Phase.UPLOADING: "uploading",
}


def duration(seconds: float) -> str:
    """``9 s``, ``4 min 05 s`` or ``2 h 03 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def estimate_text(estimate: Estimate) -> str:
    """``estimate: 5.2 GPU hours, 34 min 10 s of work, $13.04``."""
    cost = "" if estimate.cost_usd is None else f", ${estimate.cost_usd:,.2f}"
    return (
        f"estimate: {estimate.gpu_hours:,.1f} GPU hours, "
        f"{duration(estimate.duration_seconds)} of work{cost}"
    )


def progress_text(progress: Progress | None) -> str:
    """What is being done and how much of it: ``train Vanilla: 120/400 steps, 3 rejected``."""
    if progress is None:
        return "starting"
    parts = []
    if progress.phase in _PHASES:
        parts.append(_PHASES[progress.phase])
    if progress.total:
        parts.append(f"{progress.done:,}/{progress.total:,} {progress.unit}")
    elif progress.done:
        parts.append(f"{progress.done:,} {progress.unit}")
    if progress.rejected:
        parts.append(f"{progress.rejected:,} rejected")
    label = f"{progress.label}: " if progress.label and parts else progress.label
    return label + ", ".join(parts)


def rate_text(progress: Progress | None) -> str:
    """Tokens a second; empty where none are counted."""
    if progress is None or not progress.tokens_per_second:
        return ""
    return f"{progress.tokens_per_second:,.0f} tokens/s"


def remaining_text(progress: Progress | None) -> str:
    """The time this part of the step still takes; empty where nobody knows."""
    if progress is None or progress.remaining_seconds is None:
        return ""
    return f"{duration(progress.remaining_seconds)} left"


def elapsed_text(stage: StageStatus, now: datetime) -> str:
    """How long the latest attempt has run, or ran."""
    if stage.start_time is None:
        return ""
    return duration(((stage.end_time or now) - stage.start_time).total_seconds())


def state_text(state: StepState) -> str:
    """The state in small letters: ``backing off``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", state.value).lower()


def stage_text(stage: StageStatus) -> str:
    """What is to be said of the step besides its state."""
    if stage.state == StepState.RUNNING:
        retry = f"attempt {stage.attempt}, " if stage.attempt > 1 else ""
        return retry + progress_text(stage.progress)
    if stage.state == StepState.DONE and stage.reason == Reason.ALREADY_FINISHED:
        return "finished before"
    if stage.state == StepState.DONE:
        return ""
    return stage.message.removeprefix(f"{stage.step}: ") or stage.reason
