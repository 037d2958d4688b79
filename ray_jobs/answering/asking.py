"""The driver's side: starts the engine's process, asks, and passes progress on."""

from collections.abc import Callable, Iterator, Sequence
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
    folder: Path,
    settings: EngineSettings,
    *,
    date: str,
    reporter: Reporter,
    is_used_once: bool = False,
) -> Iterator[Any]:
    """An actor with the model of ``folder`` loaded, for ``ask``; killed on leaving.

    Args:
        is_used_once: No other engine will load this folder, so that no copy of it need stay on
            the engine's machine.

    Raises:
        SpecError, ResourceError: The model can't be loaded.
        ExternalError: ``EngineFailed``: the process died.
    """
    import ray

    connect()
    reporter.begin("loading", total=0, unit="rows", phase=Phase.LOADING_WEIGHTS)
    actor = start_answering(settings, ray.cluster_resources())
    try:
        reference = actor.load.remote(str(folder), settings, date=date, is_used_once=is_used_once)
        _wait(reference, place=folder.name, each=lambda: reporter.update(0))
        yield actor
    finally:
        ray.kill(actor)


def ask(actor: Any, exam: Exam, question: Question, *, label: str, reporter: Reporter) -> Answered:
    """Every answer of the actor's model to the exam.

    Raises:
        SpecError: ``NothingAnswered``: the engine refuses every row.
        ResourceError, ExternalError: It ran out of memory; ``EngineFailed``: its process died.
    """
    import ray

    options = {"labels": list(exam.labels), "prompts": exam.prompts.dump()}
    reference = actor.answer.remote(exam.task, options, list(exam.rows), question)
    reporter.begin(label, total=exam.num_turns, unit="rows")

    def pass_on() -> None:
        done, tokens = ray.get(actor.progress.remote())
        reporter.update(done, work=tokens)

    answered: Answered = _wait(reference, place=label, each=pass_on)
    reporter.update(exam.num_turns)
    return answered


def _wait(reference: Any, *, place: str, each: Callable[[], None]) -> Any:
    """The call's value; ``each`` runs twice a second until it is there."""
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    try:
        while not ray.wait([reference], timeout=POLL_S)[0]:
            each()
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except RayActorError as error:
        raise ExternalError(
            f"{place}: the engine's process must live, got {type(error).__name__}; "
            "see the step's log, and run the job again: what was evaluated is kept",
            reason="EngineFailed",
        ) from error
