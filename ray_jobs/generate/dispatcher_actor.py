"""The dispatcher as a Ray actor: the state machine, a clock, and a box of news for the driver."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from distillery.errors import ExternalError
from ray_jobs.engines.base import EngineInfo
from ray_jobs.generate.couriers import Flushed
from ray_jobs.generate.dispatcher import Dispatcher, Lease
from ray_jobs.generate.work import WorkItem


@dataclass(frozen=True, kw_only=True)
class EngineReady:
    """An engine has loaded its model."""

    engine: str
    info: EngineInfo
    load_s: float


@dataclass(kw_only=True)
class News:
    """What happened since the driver last asked. ``tokens`` is each engine's own counter so far;
    ``first_lease_at`` and ``last_flush_at`` are monotonic seconds of one clock, 0 while unknown."""

    flushed: list[Flushed] = field(default_factory=list)
    ready: list[EngineReady] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    stalled: list[str] = field(default_factory=list)
    first_lease_at: float = 0.0
    last_flush_at: float = 0.0


class DispatcherActor:
    """See ``Dispatcher``. Runs one call at a time."""

    def __init__(self, *, lease_s: float) -> None:
        self._dispatcher = Dispatcher(lease_s=lease_s)
        self._news = News()

    def add(self, items: Sequence[WorkItem]) -> None:
        self._dispatcher.add(items)

    def close(self) -> None:
        self._dispatcher.close()

    def stop(self) -> None:
        self._dispatcher.stop()

    def lose(self, engine: str) -> list[str]:
        return self._dispatcher.lose(engine)

    def lease(self, engine: str, limit: int, tokens: int) -> Lease:
        now = time.monotonic()
        lease = self._dispatcher.lease(engine, limit=limit, tokens=tokens, now=now)
        self._news.tokens[engine] = tokens
        if lease.items and not self._news.first_lease_at:
            self._news.first_lease_at = now
        return lease

    def acknowledge(self, engine: str, flushed: Flushed) -> None:
        now = time.monotonic()
        keys = [answer.key for answer in flushed.answers] + [key for key, _ in flushed.failures]
        self._dispatcher.acknowledge(engine, keys, now=now)
        self._news.flushed.append(flushed)
        self._news.last_flush_at = now

    def is_ready(self, ready: EngineReady) -> None:
        self._news.ready.append(ready)

    def take_news(self) -> News:
        """The news, once."""
        news = self._news
        news.stalled = self._dispatcher.find_stalled(now=time.monotonic())
        self._news = News(
            tokens=dict(news.tokens),
            first_lease_at=news.first_lease_at,
            last_flush_at=news.last_flush_at,
        )
        return news


def get_reply(reference: Any) -> Any:
    """What the dispatcher answers.

    Raises:
        ExternalError: ``DispatcherLost``: its process is gone, and with it this attempt.
    """
    import ray
    from ray.exceptions import RayActorError

    try:
        return ray.get(reference)
    except RayActorError as error:
        raise ExternalError(
            f"dispatcher: its process must live, got {type(error).__name__}; "
            "run the job again, what was answered is kept",
            reason="DispatcherLost",
        ) from error
