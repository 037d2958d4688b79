"""The Ray actor that holds the engine while a model answers, one process a model folder.

The driver stays free of torch and vllm; the actor's environment is the engine's
(``engines.environment``). Progress is polled, since a driver can't be called.
"""

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillery.spec.dataset import PromptsSpec
from distillery.tasks import TaskName
from ray_jobs.answering.rows import Answered, Question, answer_rows
from ray_jobs.engines.base import Engine, EngineSettings
from ray_jobs.engines.environment import engine_environment
from ray_jobs.engines.gpus import gpus_of_engine
from ray_jobs.engines.making import make_engine
from ray_jobs.folders import bring_folder, driver_node
from ray_jobs.records import PromptRow
from ray_jobs.rendering import Renderer
from ray_jobs.tasks.base import TaskOptions
from ray_jobs.tasks.choosing import make_task


class AnsweringActor:
    """A model in an engine, answering test rows. Made with ``start_answering``; ``home`` is the
    driver's machine, where the folders are that it is given."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._renderer: Renderer
        self._engine: Engine
        self._lock = threading.Lock()
        self._done = 0
        self._tokens = 0

    def load(self, folder: str, settings: EngineSettings, *, date: str, is_used_once: bool) -> None:
        """Loads the model; not in ``__init__``, whose errors Ray passes on as text alone. A copy
        of a folder that is used once doesn't stay."""
        is_copy = bring_folder(Path(folder), home=self._home)
        self._renderer = Renderer.from_folder(Path(folder), date=date or None)
        self._engine = make_engine(settings, folder, stop_token_ids=self._renderer.stop_token_ids)
        if is_copy and is_used_once:
            shutil.rmtree(folder)

    def answer(
        self,
        task_name: TaskName,
        options: dict[str, Any],
        rows: list[PromptRow],
        question: Question,
    ) -> Answered:
        """All answers to ``rows``; ``options`` has ``TaskOptions``' ``labels`` and ``prompts``."""
        task = make_task(
            task_name,
            TaskOptions(
                labels=tuple(options["labels"]),
                prompts=PromptsSpec.model_validate(options["prompts"]),
            ),
        )
        with self._lock:
            self._done = 0
        if question.adapter:
            bring_folder(Path(question.adapter), home=self._home)
        return answer_rows(
            self._engine, self._renderer, task, rows, question=question, on_progress=self._note
        )

    def progress(self) -> tuple[int, int]:
        """Turns answered for the current question, and tokens generated since the last call."""
        with self._lock:
            tokens, self._tokens = self._tokens, 0
            return self._done, tokens

    def _note(self, done: int, tokens: int) -> None:
        with self._lock:
            self._done = done
            self._tokens += tokens


def start_answering(settings: EngineSettings, resources: Mapping[str, float]) -> Any:
    """The handle of a new actor without a model yet; ``resources`` are the Ray cluster's."""
    import ray

    options = actor_options(settings, resources)
    return ray.remote(AnsweringActor).options(**options).remote(driver_node())


def actor_options(settings: EngineSettings, resources: Mapping[str, float]) -> dict[str, Any]:
    """What Ray is asked for the actor. Two calls run in it at once, so that progress can be asked
    while it answers."""
    num_cpus = max(1, int(resources.get("CPU", 1)))
    # Ray would give the actor one thread.
    environment = engine_environment(settings) | {"OMP_NUM_THREADS": str(num_cpus)}
    return {
        "num_cpus": 1,
        "num_gpus": gpus_of_engine(settings, num_gpus=resources.get("GPU", 0)),
        "max_concurrency": 2,
        "runtime_env": {"env_vars": environment},
    }
