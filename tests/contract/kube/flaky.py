"""Reads that fail at random: what an informer must survive on any API server."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from controller.kube.api import Json, KubeApi, Page, WatchEvent
from controller.kube.faults import GoneError, ThrottledError, UnreachableError
from controller.kube.resources import Resource


@dataclass(frozen=True, kw_only=True)
class FlakyReads:
    """The reads of ``api``: each request may fail, each watch break after any event, while
    ``is_flaky`` has something in it."""

    api: KubeApi
    rng: random.Random
    is_flaky: list[bool]

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """As ``ReadApi.fetch``."""
        return self.api.fetch(resource, namespace=namespace, name=name)

    def list_page(self, resource: Resource, **asked: object) -> Page:
        """As ``ReadApi.list_page``."""
        self._meet(0.3)
        return self.api.list_page(resource, **asked)  # type: ignore[arg-type]

    def watch(
        self, resource: Resource, **asked: object
    ) -> AbstractContextManager[Iterator[WatchEvent]]:
        """As ``ReadApi.watch``."""
        self._meet(0.3)
        return self._watch(resource, **asked)

    @contextmanager
    def _watch(self, resource: Resource, **asked: object) -> Iterator[Iterator[WatchEvent]]:
        with self.api.watch(resource, **asked) as events:  # type: ignore[arg-type]
            yield self._some(events)

    def _some(self, events: Iterator[WatchEvent]) -> Iterator[WatchEvent]:
        for event in events:
            self._meet(0.2)
            yield event

    def _meet(self, chance: float) -> None:
        if self.is_flaky and self.rng.random() < chance:
            raise self.rng.choice(
                [
                    UnreachableError("api server: reset, got none; wait", reason="Reset"),
                    GoneError("list: too old, got 1; list anew", reason="Expired"),
                    ThrottledError("api server: busy, got 429", reason="Busy", delay_s=0.02),
                ]
            )
