"""What happens on an API server, written down as it does: every version of every object.

Tests look at it afterwards and so miss nothing that was short. Versions of one server are ordered
over all kinds: what has a higher one came later.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from controller.kube.api import Json, KubeApi, Page
from controller.kube.resources import (
    DISTILLATION_JOBS,
    PODS,
    RAY_CLUSTERS,
    RAY_JOBS,
    SECRETS,
    Resource,
)
from controller.runtime.cache import Cache
from controller.runtime.clock import SystemClock
from controller.runtime.informer import Informer
from controller.runtime.listing import Watched
from tests.doubles.api_kinds import BATCH_JOBS, SERVICES
from tests.integration.operator.kuberay_mirror import Mirror

KINDS = (DISTILLATION_JOBS, RAY_JOBS, RAY_CLUSTERS, PODS, SERVICES, BATCH_JOBS, SECRETS)
CATCH_UP_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object as it was after a change; ``is_gone``: as it was last."""

    kind: str
    raw: Json
    is_gone: bool

    @property
    def version(self) -> int:
        """When: the higher, the later."""
        return int(self.raw["metadata"]["resourceVersion"])

    @property
    def uid(self) -> str:
        """Which object."""
        return str(self.raw["metadata"]["uid"])


class Journal:
    """The entries of ``KINDS``, in the order of each kind. Thread-safe."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self.informers = [self._informer(kind) for kind in KINDS]

    def of(
        self, resource: Resource, namespace: str, *, has: Callable[[Json], bool] = lambda raw: True
    ) -> list[Entry]:
        """The entries of a kind in a namespace, as far as the server has any now."""
        self._catch_up(resource, namespace)
        return [
            each
            for each in self._copy()
            if each.kind == resource.kind
            and each.raw["metadata"]["namespace"] == namespace
            and has(each.raw)
        ]

    def _informer(self, resource: Resource) -> Informer:
        def note(old: Json | None, new: Json | None) -> None:
            raw = old if new is None else new
            assert raw is not None
            entry = Entry(kind=resource.kind, raw=raw, is_gone=new is None)
            with self._lock:
                self._entries.append(entry)

        watched = Watched(resource=resource)
        informer = Informer(
            self._api, watched, cache=Cache(project=lambda raw: raw), clock=SystemClock()
        )
        informer.add_handler(note)
        return informer

    def _copy(self) -> list[Entry]:
        with self._lock:
            return list(self._entries)

    def _catch_up(self, resource: Resource, namespace: str) -> None:
        """Waits until what the server has now is written down."""
        page = self._api.list_page(resource, namespace=namespace)
        deadline = time.monotonic() + CATCH_UP_S
        while not self._is_past(resource, namespace, page):
            assert time.monotonic() < deadline, f"{resource.plural} are not written down"
            time.sleep(0.02)

    def _is_past(self, resource: Resource, namespace: str, page: Page) -> bool:
        last: dict[str, Entry] = {}
        for each in self._copy():
            if each.kind == resource.kind and each.raw["metadata"]["namespace"] == namespace:
                last[each.uid] = each
        listed = {
            raw["metadata"]["uid"]: int(raw["metadata"]["resourceVersion"]) for raw in page.items
        }
        listed_at = int(page.resource_version)
        return all(uid in last and last[uid].version >= at for uid, at in listed.items()) and all(
            each.is_gone or uid in listed or each.version > listed_at for uid, each in last.items()
        )


def first_of_each(entries: Iterable[Entry]) -> list[Entry]:
    """Of each object its first entry: how it was made."""
    first: dict[str, Entry] = {}
    for each in entries:
        first.setdefault(each.uid, each)
    return list(first.values())


@contextmanager
def keeping_journal(api: KubeApi, mirror: Mirror) -> Iterator[Journal]:
    """Writes down what happens until the end of the block, and fills the mirror."""
    journal = Journal(api)
    for informer in journal.informers:
        informer.add_handler(mirror.handler(informer.watched.resource))
    for informer in journal.informers:
        informer.start()
    try:
        yield journal
    finally:
        for informer in journal.informers:
            informer.stop()
