"""The driver's side: starts the engine's process, asks, and passes progress on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import ExternalError
from distillery.progress import Phase
from distillery.spec.dataset import PromptsSpec
from distillery.tasks import TaskName
from ray_jobs.answering.actor import start_answering
from ray_jobs.answering.rows import Answered, Question
from ray_jobs.cluster import connect
from ray_jobs.engines.base import EngineSettings
from ray_jobs.progress import Reporter
from ray_jobs.records import PromptRow

POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What every model of a step is asked: the task with its options, the rows, how many turns
    they have together."""

    task: TaskName
    labels: tuple[str, ...]
    prompts: PromptsSpec
    rows: Sequence[PromptRow]
    num_turns: int


@contextmanager
def answering(
    folder: Path, settings: EngineSettings, *, date: str, reporter: Reporter
) -> Iterator[Any]:
    """An actor with the model of ``folder`` loaded, for ``ask``; killed on leaving."""
    import ray

    connect()
    reporter.phase(Phase.LOADING_WEIGHTS)
    num_threads = max(1, int(ray.cluster_resources().get("CPU", 1)))
    actor = start_answering(folder, settings, date=date, num_threads=num_threads)
    try:
        yield actor
    finally:
        ray.kill(actor)


def ask(actor: Any, exam: Exam, question: Question, *, label: str, reporter: Reporter) -> Answered:
    """Every answer of the actor's model to the exam.

    Raises:
        SpecError, ResourceError: The model can't be loaded.
        ExternalError: ``EngineFailed``: its process died.
    """
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    options = {"labels": list(exam.labels), "prompts": exam.prompts.dump()}
    reference = actor.answer.remote(exam.task, options, list(exam.rows), question)
    reporter.begin(label, total=exam.num_turns, unit="rows")
    try:
        while not ray.wait([reference], timeout=POLL_S)[0]:
            done, tokens = ray.get(actor.progress.remote())
            reporter.update(done, work=tokens)
        answered: Answered = ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except RayActorError as error:
        cause = getattr(error, "cause", None)
        detail = type(cause or error).__name__
        raise ExternalError(
            f"{label}: the engine's process must live, got {detail}; "
            "see the step's log, and run the job again: what was evaluated is kept",
            reason="EngineFailed",
        ) from error
    reporter.update(exam.num_turns)
    return answered
