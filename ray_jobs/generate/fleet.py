"""The driver's side of Ray: starts the dispatcher and the engines, and replaces engines that die.

Not here: who gets which row (``dispatcher.py``) and what becomes of answers (``desk.py``).
"""

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from distillery.errors import ExternalError
from ray_jobs.cluster import connect
from ray_jobs.engines.base import EngineSettings
from ray_jobs.engines.environment import engine_environment
from ray_jobs.engines.gpus import gpus_of_engine
from ray_jobs.folders import driver_node
from ray_jobs.generate.dispatcher_actor import DispatcherActor, News, get_reply
from ray_jobs.generate.engine_actor import ENGINE_FAILED, EngineActor, EngineEnd, EnginePlan
from ray_jobs.generate.placing import Placer
from ray_jobs.generate.work import WorkItem

_LOG = logging.getLogger(__name__)

MAX_FRUITLESS_DEATHS = 4
"""Deaths in a row, for each engine, with no row answered or put in quarantine between them. One
poison row takes 2 before it is in quarantine; a lost node takes all its engines at once."""

FINISH_S = 30.0
"""How long engines may take to end before they are killed."""

POISON = "poison: engines died with this prompt alone"
"""The reason of rows in quarantine."""


class Fleet:
    """One dispatcher and ``num_engines`` engines. Use as a context: leaving it stops them all."""

    def __init__(self, plan: EnginePlan, *, num_engines: int) -> None:
        self._plan = plan
        self._num_engines = num_engines
        self._dispatcher: Any = None
        self._runs: dict[Any, tuple[str, Any]] = {}
        self._placer = Placer(plan.settings) if plan.settings.pipeline_parallel > 1 else None
        self._num_unplaced = 0
        self._num_fruitless = 0
        self.num_deaths = 0

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        for name, actor in self._runs.values():
            ray.kill(actor)
            self._give_back(name)
        if self._dispatcher is not None:
            ray.kill(self._dispatcher)
        self._runs, self._dispatcher = {}, None

    @property
    def is_started(self) -> bool:
        """Whether there is anything running."""
        return self._dispatcher is not None

    def add(self, items: Sequence[WorkItem]) -> None:
        """Queues items; the first ones start dispatcher and engines."""
        import ray

        if self._dispatcher is None:
            connect()
            self._dispatcher = (
                ray.remote(DispatcherActor)
                .options(num_cpus=0, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})
                .remote(lease_s=self._plan.options.lease_s)
            )
            for _ in range(self._num_engines):
                self._start_engine()
        get_reply(self._dispatcher.add.remote(items))

    def take_news(self) -> News:
        """What happened since the last call; waits a little for the first call's processes."""
        news: News = get_reply(self._dispatcher.take_news.remote())
        if news.flushed:
            self._num_fruitless = 0
        return news

    def replace_dead(self, stalled: Sequence[str], *, wait_s: float) -> list[str]:
        """Kills stalled engines and replaces dead ones. Returns keys put in quarantine.

        Args:
            wait_s: How long to wait for an end.

        Raises:
            SpecError, ResourceError, ExternalError: An engine can't be made, storage failed, or
                engines die again and again (``EngineFailed``).
        """
        import ray

        broken = self._placer.find_broken() if self._placer else []
        for name, actor in self._runs.values():
            if name in stalled:
                _LOG.warning("engine stands still and is killed engine=%s", name)
                ray.kill(actor)
            elif name in broken:
                _LOG.warning("engine has lost a node and is killed engine=%s", name)
                ray.kill(actor)
        self._start_unplaced()
        if not self._runs:
            time.sleep(wait_s)
            return []
        ended, _ = ray.wait(list(self._runs), num_returns=1, timeout=wait_s)
        quarantined: list[str] = []
        for reference in ended:
            name, _actor = self._runs.pop(reference)
            end = self._end_of(reference)
            self._give_back(name)
            if end.error is None:
                continue
            if not end.is_death:
                raise end.error
            quarantined += self._bury(name, cause=end.error.message)
        return quarantined

    def finish(self, *, is_stopped: bool = False) -> None:
        """Lets the engines end: by themselves, or at once with what they have finished durable."""
        import ray

        if self._dispatcher is None:
            return
        get_reply((self._dispatcher.stop if is_stopped else self._dispatcher.close).remote())
        # Nothing is missing by now: whoever is still loading its model need not finish that.
        if self._runs:
            ray.wait(list(self._runs), num_returns=len(self._runs), timeout=FINISH_S)

    def _bury(self, name: str, *, cause: str) -> list[str]:
        self.num_deaths += 1
        quarantined: list[str] = get_reply(self._dispatcher.lose.remote(name))
        self._num_fruitless = 0 if quarantined else self._num_fruitless + 1
        _LOG.warning("engine died engine=%s cause=%s quarantined=%d", name, cause, len(quarantined))
        if self._num_fruitless >= MAX_FRUITLESS_DEATHS * self._num_engines:
            raise ExternalError(
                f"engine: died {self._num_fruitless} times without an answer between, last with "
                f"{cause[:100]}; see the step's log",
                reason=ENGINE_FAILED,
            )
        self._start_engine()
        return quarantined

    def _start_engine(self) -> None:
        import ray

        name = f"engine-{secrets.token_hex(6)}"
        options = actor_options(
            self._plan.settings, ray.cluster_resources(), num_engines=self._num_engines
        )
        nodes: tuple[str, ...] = ()
        if self._placer:
            place = self._placer.find_place(name)
            if place is None:
                self._num_unplaced += 1
                return
            options |= place.actor_options()
            nodes = place.nodes
        actor = (
            ray.remote(EngineActor)
            .options(**options)
            .remote(name, self._plan, self._dispatcher, driver_node(), nodes)
        )
        self._runs[actor.run.remote()] = (name, actor)

    def _start_unplaced(self) -> None:
        """Tries again what had no place."""
        num_waiting, self._num_unplaced = self._num_unplaced, 0
        for _ in range(num_waiting):
            self._start_engine()

    def _give_back(self, name: str) -> None:
        if self._placer:
            self._placer.give_back(name)

    def _end_of(self, reference: Any) -> EngineEnd:
        import ray
        from ray.exceptions import RayActorError

        try:
            end: EngineEnd = ray.get(reference)
        except RayActorError as error:
            return EngineEnd(error=ExternalError(type(error).__name__, reason=ENGINE_FAILED))
        return end


def actor_options(
    settings: EngineSettings, resources: Mapping[str, float], *, num_engines: int
) -> dict[str, Any]:
    """What Ray is asked for each engine's process, given the cluster's resources."""
    num_cpus = int(resources.get("CPU", 1))
    environment = engine_environment(settings) | {
        # Ray would give each actor one thread.
        "OMP_NUM_THREADS": str(max(1, num_cpus // num_engines))
    }
    return {
        "num_cpus": min(1.0, num_cpus / num_engines),
        "num_gpus": gpus_of_engine(
            settings, num_gpus=resources.get("GPU", 0), num_engines=num_engines
        ),
        "max_restarts": 0,
        "runtime_env": {"env_vars": environment},
    }
