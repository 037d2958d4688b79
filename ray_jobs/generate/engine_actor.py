"""One engine as a Ray actor: loads the model, runs the loop, says how it ended.

Errors of the tree go to the driver as values: Ray would wrap what is raised.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import DistilleryError
from distillery.spec.job import StorageSpec
from ray_jobs.answers.ledger import TokenLedger
from ray_jobs.answers.store import SegmentWriter
from ray_jobs.engines.base import Engine, EngineSettings, EngineType, Sampling
from ray_jobs.folders import bring_folder, bring_folder_to
from ray_jobs.generate.couriers import Flushed
from ray_jobs.generate.dispatcher import Lease
from ray_jobs.generate.dispatcher_actor import EngineReady, get_reply
from ray_jobs.generate.engine_loop import EngineLoop, LoopSettings
from ray_jobs.generate.options import GenerateOptions
from ray_jobs.storage.opening import open_storage

ENGINE_FAILED = "EngineFailed"
"""The reason of errors that an engine died of."""


@dataclass(frozen=True, kw_only=True)
class EnginePlan:
    """All an engine's process needs. ``model_folder`` is a folder on the driver's machine,
    ``ledger`` one on the engine's."""

    settings: EngineSettings
    model_folder: str
    stop_token_ids: tuple[int, ...]
    sampling: Sampling
    storage: StorageSpec
    segments: str
    ledger: str
    options: GenerateOptions


@dataclass(frozen=True, kw_only=True)
class EngineEnd:
    """The end of a run: ``error`` is None where it was over by itself."""

    error: DistilleryError | None = None
    tokens: int = 0

    @property
    def is_death(self) -> bool:
        """Whether the engine failed while answering: its rows are suspects."""
        return self.error is not None and self.error.reason == ENGINE_FAILED


class RayPort:
    """``couriers.Port`` over a handle of the dispatcher."""

    def __init__(self, dispatcher: Any, *, engine: str) -> None:
        self._dispatcher = dispatcher
        self._engine = engine

    def lease(self, *, limit: int, tokens: int) -> Lease:
        lease: Lease = get_reply(self._dispatcher.lease.remote(self._engine, limit, tokens))
        return lease

    def acknowledge(self, flushed: Flushed) -> None:
        get_reply(self._dispatcher.acknowledge.remote(self._engine, flushed))


class EngineActor:
    """An engine and its loop. ``engine`` is this instance's name, never used again; ``home`` is
    the driver's machine, ``nodes`` are those of its pipeline stages where it spans several."""

    def __init__(
        self,
        engine: str,
        plan: EnginePlan,
        dispatcher: Any,
        home: str,
        nodes: Sequence[str] = (),
    ) -> None:
        self._home = home
        self._nodes = nodes
        self._name = engine
        self._plan = plan
        self._dispatcher = dispatcher

    def run(self) -> EngineEnd:
        """Loads the model and answers until it is over."""
        try:
            started_at = time.monotonic()
            folder = Path(self._plan.model_folder)
            bring_folder(folder, home=self._home)
            bring_folder_to(self._nodes[1:], folder, home=self._home)
            engine = self._plan.options.engine_factory(
                self._plan.settings,
                self._plan.model_folder,
                stop_token_ids=self._plan.stop_token_ids,
            )
            ready = EngineReady(
                engine=self._name, info=engine.info, load_s=time.monotonic() - started_at
            )
            self._dispatcher.is_ready.remote(ready)
            return EngineEnd(tokens=self._loop(engine).run())
        except DistilleryError as error:
            return EngineEnd(error=error)

    def _loop(self, engine: Engine) -> EngineLoop:
        plan = self._plan
        storage = open_storage(
            plan.storage.uri,
            endpoint_url=plan.storage.endpoint_url or None,
            region=plan.storage.region or None,
            credentials_ref=plan.storage.credentials_ref,
        )
        provenance = {
            "engine": engine.info.type,
            "version": engine.info.version,
            "settings": engine.info.settings,
            "maxModelLen": engine.info.max_model_len,
            "maxTokens": plan.sampling.max_tokens,
            "seed": plan.sampling.seed,
        }
        return EngineLoop(
            engine,
            port=RayPort(self._dispatcher, engine=self._name),
            writer=SegmentWriter(storage, plan.segments, writer=self._name, provenance=provenance),
            ledger=TokenLedger(
                Path(plan.ledger), engine=self._name, interval_s=plan.options.ledger_s
            ),
            settings=LoopSettings(
                sampling=plan.sampling,
                max_in_flight=max_in_flight(plan.settings),
                flush_s=plan.options.flush_s,
                flush_rows=plan.options.flush_rows,
            ),
        )


def max_in_flight(settings: EngineSettings) -> int:
    """How many requests an engine with these settings runs at once."""
    is_vllm = settings.type == EngineType.VLLM
    return settings.max_num_seqs if is_vllm else settings.batch_size
