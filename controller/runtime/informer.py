"""Keeps a cache of one kind true: list, then watch, and again from whatever goes wrong.

Handlers hear of each difference between what the cache held and what it holds, in the order of the
server for each key; they map objects to keys and do no work. Whether this replica leads is no
matter here, so a standby has its caches full. The store is ``cache.py``, the list ``listing.py``,
handlers come from ``owners.py``.
"""

import logging
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from controller.kube.api import EventType, ReadApi, WatchEvent
from controller.kube.faults import ForbiddenError, GoneError, NotFoundError, ThrottledError
from controller.runtime.cache import Cache, Difference
from controller.runtime.clock import Clock
from controller.runtime.listing import Watched, fetch_listing
from controller.runtime.owners import Handler
from distillery.errors import DistilleryError, ExternalError, TransientError

_LOG = logging.getLogger(__name__)

RELIST_AFTER_FAILURES = 5
"""A server that came back from an old backup never accepts the version we have."""

Watch = AbstractContextManager[Iterator[WatchEvent]]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long an informer waits, in seconds.

    A watch lasts between ``watch_s`` and twice that, so that informers don't all come back at once.
    The server sends bookmarks once a minute and near the end of a watch, but only if something has
    changed since its beginning: so a watch ends before a quiet kind could seem dead, and only a
    dead connection brings nothing for ``silence_s``.
    ``relist_s`` repairs what no error told of. Retries begin at ``min_delay_s``, double up to
    ``max_delay_s`` and take up to half as much again by chance; they begin anew after a watch that
    lasted as long as ``max_delay_s``. One that ends before ``short_watch_s`` without an event
    counts as failed.
    """

    watch_s: float = 40.0
    silence_s: float = 90.0
    relist_s: float = 1800.0
    min_delay_s: float = 0.8
    max_delay_s: float = 30.0
    short_watch_s: float = 1.0


@dataclass(frozen=True, kw_only=True)
class InformerStats:
    """What has happened so far. ``num_bugs`` counts what raised that must not; ``last_error`` is
    empty while all goes well."""

    num_lists: int = 0
    num_watches: int = 0
    num_events: int = 0
    num_failures: int = 0
    num_bugs: int = 0
    last_error: str = ""


class Informer:
    """Keeps ``cache`` true to ``watched``.

    Either call ``step`` from one thread, as tests with a virtual clock do, or ``start`` a thread.

    Args:
        rng: For jitter.
    """

    def __init__(
        self,
        api: ReadApi,
        watched: Watched,
        *,
        cache: Cache,
        clock: Clock,
        timing: Timing | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.watched = watched
        self.cache = cache
        self._api = api
        self._timing = timing or Timing()
        self._clock = clock
        self._rng = rng or random.Random()
        self._handlers: list[Handler] = []
        self._stats = InformerStats()
        self._version = ""
        self._relist_at = 0.0
        self._num_failed = 0
        self._is_missing = False
        self._synced = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._condition = threading.Condition()
        self._connection: Watch | None = None

    def add_handler(self, handler: Handler) -> None:
        """Tells ``handler`` of every difference from now on; only before the first list.

        It is called from the informer's thread after the cache has changed, and must not block.
        What it raises is logged and counted, and not tried again.
        """
        self._handlers.append(handler)

    @property
    def has_synced(self) -> bool:
        """Whether the cache has been filled once and the handlers told."""
        return self._synced.is_set()

    @property
    def is_missing(self) -> bool:
        """Whether the server doesn't know the kind: its CRD isn't installed. The cache stays as it
        was, for a missing kind proves nothing about its objects."""
        return self._is_missing

    @property
    def stats(self) -> InformerStats:
        """What has happened so far."""
        return self._stats

    def wait_synced(self, timeout_s: float) -> bool:
        """Waits for ``has_synced``; says whether it holds."""
        return self._synced.wait(timeout_s)

    def pump(self) -> float:
        """Takes in what there is now and doesn't wait for more, on a server in memory.

        Returns: As ``step``.
        """
        return self.step(timeout_s=0.0)

    def step(self, *, timeout_s: float) -> float:
        """Lists where that is due, then watches for ``timeout_s`` at most.

        Returns: Seconds to wait before the next step; more than 0 after a failure.
        """
        error: DistilleryError
        for _ in range(2):
            try:
                return self._advance(timeout_s)
            except GoneError as gone:
                self._version = ""
                error = gone
            except (ExternalError, TransientError) as failure:
                error = failure
                break
        return self._fail(error)

    def start(self) -> None:
        """Steps in a thread of its own until ``stop``."""
        name = f"informer-{self.watched.resource.plural}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> bool:
        """Ends the thread and its connection; says whether it has ended in time."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.__exit__(None, None, None)
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_stopping:
            watch_s = self._timing.watch_s * self._rng.uniform(1.0, 2.0)
            try:
                delay_s = self.step(timeout_s=watch_s)
            except Exception:  # noqa: BLE001 - the thread's edge: a bug must not end the watching
                _LOG.exception("informer failed kind=%s", self.watched.resource.kind)
                self._count(num_bugs=1)
                delay_s = self._next_delay_s()
            self._pause(delay_s)

    def _pause(self, delay_s: float) -> None:
        due = self._clock.now() + delay_s
        with self._condition:
            while not self._is_stopping and (left_s := due - self._clock.now()) > 0:
                self._clock.wait(self._condition, left_s)

    def _advance(self, timeout_s: float) -> float:
        if not self._version or self._clock.now() >= self._relist_at:
            self._list()
        started = self._clock.now()
        num_events = self._stats.num_events
        try:
            self._watch(timeout_s)
        finally:
            lasted_s = self._clock.now() - started
            if lasted_s >= self._timing.max_delay_s:
                self._num_failed = 0
        short_s = self._timing.short_watch_s
        if lasted_s < short_s < timeout_s and self._stats.num_events == num_events:
            return self._next_delay_s()
        self._recover()
        return 0.0

    def _list(self) -> None:
        listing = fetch_listing(self._api, self.watched, project=self.cache.project)
        self._is_missing = False
        self._tell(self.cache.replace(listing.objects))
        self._version = listing.version
        self._relist_at = self._clock.now() + self._timing.relist_s * self._rng.uniform(1.0, 1.2)
        self._count(num_lists=1)
        if not self.has_synced:
            _LOG.info(
                "cache is filled kind=%s objects=%d", self.watched.resource.kind, len(self.cache)
            )
            self._synced.set()

    def _watch(self, timeout_s: float) -> None:
        watched = self.watched
        connection = self._api.watch(
            watched.resource,
            resource_version=self._version,
            namespace=watched.namespace,
            labels=watched.labels,
            timeout_s=timeout_s,
            silence_s=self._timing.silence_s,
        )
        self._count(num_watches=1)
        with connection as events:
            with self._condition:
                self._connection = connection
            try:
                for event in events if not self._is_stopping else ():
                    self._take(event)
            finally:
                with self._condition:
                    self._connection = None

    def _take(self, event: WatchEvent) -> None:
        version = str(event.object["metadata"]["resourceVersion"])
        if event.type != EventType.BOOKMARK:
            obj = self.cache.project(event.object)
            is_gone = event.type == EventType.DELETED
            self._tell(self.cache.remove(obj) if is_gone else self.cache.put(obj))
        self._version = version
        self._count(num_events=1)
        self._recover()

    def _tell(self, differences: Sequence[Difference]) -> None:
        for difference in differences:
            for handler in self._handlers:
                try:
                    handler(difference.old, difference.new)
                except Exception:  # noqa: BLE001 - one handler's bug must not keep others from hearing
                    kind = self.watched.resource.kind
                    _LOG.exception("handler failed kind=%s key=%s", kind, difference.key)
                    self._count(num_bugs=1)

    def _recover(self) -> None:
        if self._num_failed > RELIST_AFTER_FAILURES:
            _LOG.info("watching goes on kind=%s", self.watched.resource.kind)
        if self._stats.last_error:
            self._stats = replace(self._stats, last_error="")
        self._num_failed = 0

    def _fail(self, error: DistilleryError) -> float:
        """Notes the failure; says how long to wait."""
        if self._is_stopping:
            return 0.0
        if isinstance(error, NotFoundError):
            self._is_missing = True
        is_refused = isinstance(error, ExternalError) and not isinstance(error, ForbiddenError)
        if is_refused or self._num_failed >= RELIST_AFTER_FAILURES:
            self._version = ""
        level = logging.WARNING if self._num_failed == RELIST_AFTER_FAILURES else logging.DEBUG
        _LOG.log(level, "watching failed kind=%s error=%s", self.watched.resource.kind, error)
        self._count(num_failures=1)
        self._stats = replace(self._stats, last_error=error.message)
        least_s = error.delay_s if isinstance(error, ThrottledError) else 0.0
        return max(least_s, self._next_delay_s())

    def _next_delay_s(self) -> float:
        """The wait after one more failure in a row."""
        doubled = self._timing.min_delay_s * 2.0 ** min(self._num_failed, 32)
        self._num_failed += 1
        return min(doubled, self._timing.max_delay_s) * self._rng.uniform(1.0, 1.5)

    def _count(self, **more: int) -> None:
        old = self._stats
        new = {name: getattr(old, name) + number for name, number in more.items()}
        self._stats = replace(old, **new)
