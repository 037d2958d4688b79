"""Watches of the API server in memory, and all that can go wrong with one.

A connection reads the log of changes from its own place. ``WatchNetwork`` is what lies between
server and client: tests make it lose, hold back or cut what passes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Condition
from types import TracebackType

from controller.kube.api import EventType, Json, WatchEvent
from controller.kube.faults import GoneError, UnreachableError
from controller.kube.resources import Resource
from controller.runtime.clock import Clock
from tests.doubles.api_objects import Change, ObjectStore, recopy

Matches = Callable[[Json], bool]


@dataclass(frozen=True, kw_only=True)
class WatchRequest:
    """What a client asked for. ``matches`` tells whether an object is in the watched set."""

    resource: Resource
    version: int
    matches: Matches
    timeout_s: float
    silence_s: float


class WatchNetwork:
    """What lies between the server and those who watch: the open connections and their troubles.

    Each method takes a kind, or None for all kinds. Its condition is the server's lock.
    """

    def __init__(self, condition: Condition, clock: Clock) -> None:
        self.condition = condition
        self.clock = clock
        self.is_lost: Callable[[Resource, WatchEvent], bool] | None = None
        """Whether an event never reaches its reader, who is told nothing."""
        self.gone_as_status = False
        """Too old a version is refused with 410, where it is an ERROR event otherwise."""
        self._connections: list[WatchConnection] = []
        self._held: set[Resource] = set()
        self._num_silent: Counter[Resource] = Counter()

    def hold(self, resource: Resource) -> None:
        """Keeps the kind's events back until ``release``."""
        with self.condition:
            self._held.add(resource)

    def release(self, resource: Resource) -> None:
        """Lets the events pass that were held, in their order, and all later ones."""
        with self.condition:
            self._held.discard(resource)
            self.condition.notify_all()

    def silence(self, resource: Resource, *, num_next: int = 0) -> None:
        """Lets nothing more pass on the kind's open watches, nor on the next ones to be opened,
        without an end: only the client's own limit ends them."""
        with self.condition:
            for connection in self.open(resource):
                connection.is_silent = True
            self._num_silent[resource] = num_next
            self.condition.notify_all()

    def send_bookmarks(self, resource: Resource | None = None) -> None:
        """Sends a bookmark on each open watch, after the events that wait there."""
        with self.condition:
            for connection in self.open(resource):
                connection.wants_bookmark = True
            self.condition.notify_all()

    def end(self, resource: Resource | None = None) -> None:
        """Ends the open watches in good order, as a server does: what waits is read before."""
        with self.condition:
            for connection in self.open(resource):
                connection.is_ending = True
            self.condition.notify_all()

    def cut(self, resource: Resource | None = None) -> None:
        """Breaks the connections of the open watches."""
        message = "watch: connection reset by peer, got an unfinished answer; watch anew"
        with self.condition:
            for connection in self.open(resource):
                connection.close(UnreachableError(message, reason="Reset"))

    def open(self, resource: Resource | None = None) -> "list[WatchConnection]":
        """The open connections."""
        with self.condition:
            return [
                connection
                for connection in self._connections
                if resource in (None, connection.request.resource)
            ]

    def is_held(self, resource: Resource) -> bool:
        """Whether the kind's events are kept back."""
        return resource in self._held

    def add(self, connection: "WatchConnection") -> None:
        """Takes a connection that opens."""
        resource = connection.request.resource
        self._connections.append(connection)
        if self._num_silent[resource] > 0:
            self._num_silent[resource] -= 1
            connection.is_silent = True
        self.condition.notify_all()

    def remove(self, connection: "WatchConnection") -> None:
        """Forgets a connection that has ended."""
        self._connections.remove(connection)
        self.condition.notify_all()


class WatchConnection(AbstractContextManager["WatchConnection"], Iterator[WatchEvent]):
    """One watch: a context that gives the events one after another."""

    def __init__(self, request: WatchRequest, *, store: ObjectStore, network: WatchNetwork) -> None:
        self.request = request
        self.is_silent = False
        self.is_ending = False
        self.wants_bookmark = False
        self._store = store
        self._network = network
        self._position = request.version
        self._deadline = network.clock.now() + request.timeout_s
        self._error: Exception | None = None
        self._is_closed = False
        self._is_checked = False

    def __enter__(self) -> "WatchConnection":
        network = self._network
        with network.condition:
            if network.gone_as_status:
                self._check_not_gone()
            network.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(None)

    def __iter__(self) -> "WatchConnection":
        return self

    def __next__(self) -> WatchEvent:
        with self._network.condition:
            while True:
                if event := self._next_event():
                    return event
                left_s = self._left_s()
                if left_s <= 0 or (self.is_ending and not self.is_silent):
                    return self._last_event()
                self._network.clock.wait(self._network.condition, left_s)

    def close(self, error: Exception | None) -> None:
        """Ends the connection; ``error`` is what its reader gets, None: the end."""
        with self._network.condition:
            if not self._is_closed:
                self._is_closed, self._error = True, error
                self._network.remove(self)

    def _next_event(self) -> WatchEvent | None:
        """An event that waits to be read. Raises at the end of the connection."""
        if self._is_closed:
            error, self._error = self._error, None
            raise error or StopIteration
        if self.is_silent:
            return None
        if not self._is_checked:
            self._check_not_gone()
        if self._network.is_held(self.request.resource):
            return None
        for change in self._store.changes_after(self._position):
            self._position = change.version
            event = self._event_of(change)
            if event and not self._loses(event):
                return event
        if self.wants_bookmark:
            return self._bookmark()
        return None

    def _left_s(self) -> float:
        if self.is_silent:
            start = self._deadline - self.request.timeout_s
            limit = self.request.silence_s if self.request.timeout_s > 0 else 0.0
            return start + limit - self._network.clock.now()
        return self._deadline - self._network.clock.now()

    def _last_event(self) -> WatchEvent:
        """A bookmark, if one is due before the server ends the watch. Raises otherwise."""
        if self.is_silent:
            message = "watch: nothing came, got silence; check the connection to the API server"
            self.close(UnreachableError(message, reason="Silent"))
        else:
            bookmark = self._position != self.request.version and not self.is_ending
            self.close(None)
            if bookmark and not self._network.is_held(self.request.resource):
                return self._bookmark()
        error, self._error = self._error, None
        raise error or StopIteration

    def _check_not_gone(self) -> None:
        self._is_checked = True
        version = self.request.version
        if version < self._store.compacted:
            raise GoneError(
                f"watch: too old resource version, got {version}; list anew",
                reason="Expired",
                status_code=410,
            )

    def _loses(self, event: WatchEvent) -> bool:
        is_lost = self._network.is_lost
        return is_lost is not None and is_lost(self.request.resource, event)

    def _bookmark(self) -> WatchEvent:
        self.wants_bookmark = False
        resource = self.request.resource
        meta = {"resourceVersion": str(self._position)}
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        return WatchEvent(type=EventType.BOOKMARK, object=obj)

    def _event_of(self, change: Change) -> WatchEvent | None:
        """What the watch tells of a change: an object that leaves the watched set is deleted."""
        if change.resource != self.request.resource:
            return None
        matches = self.request.matches
        was = change.old if change.old is not None and matches(change.old) else None
        now = change.new if change.new is not None and matches(change.new) else None
        if now is not None:
            kind = EventType.ADDED if was is None else EventType.MODIFIED
            return WatchEvent(type=kind, object=recopy(now))
        if was is None:
            return None
        last = recopy(was if change.new is not None else change.last)
        last["metadata"]["resourceVersion"] = str(change.version)
        return WatchEvent(type=EventType.DELETED, object=last)
