"""An API server in memory: implements ``controller.kube.api.KubeApi`` as a real one behaves.

Alone in a test it is deterministic: nothing happens but at a call, and a watch with a timeout of
0 gives what there is and ends. From threads a watch blocks until something comes. What a cluster
does by itself is a method (``collect_garbage``); what may go wrong is a hook or a method
(``fault``, ``lost_answer``, ``refuse``, ``network``). The parts are the ``api_*.py`` beside this.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from threading import Condition, RLock
from typing import Any
from uuid import UUID

from controller.kube.api import Json, Page, WatchEvent
from controller.kube.faults import ForbiddenError, GoneError, InvalidError
from controller.kube.resources import Resource
from controller.runtime.clock import Clock, SystemClock
from tests.doubles import api_garbage
from tests.doubles.api_kinds import NAMESPACES, ServedKind, built_in_kinds, custom_kinds
from tests.doubles.api_objects import Key, ObjectStore, recopy
from tests.doubles.api_refusals import (
    already_exists,
    check_same,
    conflict,
    not_found,
    parse_version,
    where,
)
from tests.doubles.api_selectors import parse_selector
from tests.doubles.api_watches import (
    WatchConnection,
    WatchNetwork,
    WatchRequest,
)
from tests.doubles.api_writes import Birth, created, doomed, merged

START_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, the time of a server that is given no clock."""


class Verb(StrEnum):
    """What a hook is told of a request."""

    GET = "get"
    LIST = "list"
    WATCH = "watch"
    CREATE = "create"
    PATCH = "patch"
    PATCH_STATUS = "patch status"
    DELETE = "delete"


Fault = Callable[[Verb, Resource, str, str], Exception | None]
"""From verb, resource, namespace and name (empty where the request has none) to what the client
gets instead of an answer; None: the answer."""

Refusal = Callable[[Resource, Json, Json | None], str | None]
"""From resource, new object and old one (None at a create) to why it is invalid; None: it isn't.
Stands for schemas and admission policies."""


class ApiServer:
    """A ``KubeApi`` that keeps its objects in memory. Thread-safe.

    ``fault`` comes before a request does anything; ``lost_answer`` after it was carried out, as
    when the connection breaks. Hooks may call the server.

    Args:
        now_s: Seconds since the epoch, for timestamps.
        clock: What watches wait by.
        kinds: Served at the start; more by ``serve``.
    """

    def __init__(
        self,
        *,
        now_s: Callable[[], float] = lambda: START_S,
        clock: Clock | None = None,
        kinds: Iterable[ServedKind] = (*built_in_kinds(), *custom_kinds()),
        fault: Fault | None = None,
        refuse: Refusal | None = None,
    ) -> None:
        self.fault = fault
        self.lost_answer: Fault | None = None
        self.refuse = refuse
        self.network = WatchNetwork(Condition(RLock()), clock or SystemClock())
        self._condition = self.network.condition
        self._now_s = now_s
        self._store = ObjectStore()
        self._kinds: dict[Resource, ServedKind] = {}
        self._num_uids = 0
        for kind in kinds:
            self.serve(kind)
        self.add_namespace("default")

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """As ``ReadApi.fetch``."""
        self._meet(self.fault, Verb.GET, resource, namespace, name)
        with self._condition:
            self._kind(resource)
            return self._answer(self._find(resource, Key(namespace=namespace, name=name)))

    def list_page(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        limit: int = 500,
        next: str = "",
    ) -> Page:
        """As ``ReadApi.list_page``."""
        self._meet(self.fault, Verb.LIST, resource, namespace, "")
        matches = _matcher(namespace, labels)
        with self._condition:
            kind = self._kind(resource)
            version, after = self._place(next)
            found = [
                (key, obj)
                for key, obj in self._store.items_at(resource, version)
                if matches(obj) and (after is None or key > after)
            ]
        items = [recopy(obj) for _, obj in found[:limit]]
        if not kind.is_custom:
            for item in items:
                del item["apiVersion"], item["kind"]
        last = found[limit - 1][0] if len(found) > limit else None
        token = f"{version}/{last.namespace}/{last.name}" if last else ""
        return Page(items=items, resource_version=str(version), next=token)

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str = "",
        labels: str = "",
        timeout_s: float,
        silence_s: float,
    ) -> AbstractContextManager[Iterator[WatchEvent]]:
        """As ``ReadApi.watch``. With ``timeout_s`` 0 it gives what there is and ends."""
        self._meet(self.fault, Verb.WATCH, resource, namespace, "")
        with self._condition:
            self._kind(resource)
        request = WatchRequest(
            resource=resource,
            version=parse_version(resource_version),
            matches=_matcher(namespace, labels),
            timeout_s=timeout_s,
            silence_s=silence_s,
        )
        return WatchConnection(request, store=self._store, network=self.network)

    def create(self, resource: Resource, body: Json) -> Json:
        """As ``WriteApi.create``."""
        meta = body.get("metadata") or {}
        namespace, name = meta.get("namespace", ""), meta.get("name", "")
        self._meet(self.fault, Verb.CREATE, resource, namespace, name)
        with self._condition:
            kind = self._kind(resource)
            key = Key(namespace=namespace, name=name)
            self._check_namespace(kind, key)
            obj = created(kind, body, self._birth())
            self._check(resource, obj, None)
            if self._store.find(resource, key) is not None:
                raise already_exists(resource, key)
            answer = self._answer(self._store.put(resource, key, obj))
            self._condition.notify_all()
        self._meet(self.lost_answer, Verb.CREATE, resource, namespace, name)
        return answer

    def merge(
        self,
        resource: Resource,
        *,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        subresource: str = "",
    ) -> Json:
        """As ``WriteApi.merge``."""
        verb = Verb.PATCH_STATUS if subresource else Verb.PATCH
        self._meet(self.fault, verb, resource, namespace, name)
        key = Key(namespace=namespace, name=name)
        with self._condition:
            kind = self._kind(resource)
            if subresource and not (subresource == "status" and kind.has_status):
                raise not_found(f"{where(resource, key)}/{subresource}")
            old = self._find(resource, key)
            version = (patch.get("metadata") or {}).get("resourceVersion", "")
            check_same(resource, key, old, version=version)
            new = merged(kind, old, patch, is_status=bool(subresource))
            self._check(resource, new, old)
            answer = self._answer(self._replace(resource, key, old, new))
        self._meet(self.lost_answer, verb, resource, namespace, name)
        return answer

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """As ``WriteApi.delete``."""
        self._meet(self.fault, Verb.DELETE, resource, namespace, name)
        key = Key(namespace=namespace, name=name)
        with self._condition:
            self._kind(resource)
            old = self._store.find(resource, key)
            if old is not None:
                check_same(resource, key, old, uid=uid, version=version)
                self._delete(resource, key, old)
        self._meet(self.lost_answer, Verb.DELETE, resource, namespace, name)

    def serve(self, kind: ServedKind) -> None:
        """Serves a kind from now on, as when its CRD is installed."""
        with self._condition:
            self._kinds[kind.resource] = kind

    def stop_serving(self, resource: Resource) -> None:
        """Serves the kind no more, as when its CRD is removed: its objects go, watches end."""
        with self._condition:
            for key, obj in self._store.items(resource):
                self._store.remove(resource, key, obj)
            self._kinds.pop(resource, None)
            self.network.end(resource)

    def add_namespace(self, name: str) -> None:
        """Makes the namespace, if it isn't there, without a request."""
        kind = ServedKind(resource=NAMESPACES, is_namespaced=False)
        key = Key(namespace="", name=name)
        with self._condition:
            if self._store.find(NAMESPACES, key) is None:
                body: Json = {"metadata": {"name": name}}
                self._store.put(NAMESPACES, key, created(kind, body, self._birth()))

    def objects(self, resource: Resource, *, namespace: str = "") -> list[Json]:
        """All objects of a kind, in a namespace or in all, without a request."""
        with self._condition:
            found = self._store.items(resource)
            return [recopy(obj) for key, obj in found if namespace in ("", key.namespace)]

    @property
    def version(self) -> str:
        """The newest resourceVersion."""
        return str(self._store.version)

    def collect_garbage(self, *, num_passes: int | None = None) -> int:
        """Deletes what has lost its owners or its namespace; returns how many objects. One pass
        takes one generation of owned objects; by default all of them go."""
        num_deleted = 0
        while num_passes is None or num_passes > 0:
            with self._condition:
                found = self._collect_once()
            if not found:
                break
            num_deleted += found
            num_passes = None if num_passes is None else num_passes - 1
        return num_deleted

    def compact(self) -> None:
        """Forgets the history: older resourceVersions and places in lists are gone (410)."""
        with self._condition:
            self._store.compact()

    def _meet(
        self, hook: Fault | None, verb: Verb, resource: Resource, namespace: str, name: str
    ) -> None:
        if hook is not None and (error := hook(verb, resource, namespace, name)) is not None:
            raise error

    def _kind(self, resource: Resource) -> ServedKind:
        if resource not in self._kinds:
            raise not_found(f"{resource.api_version}/{resource.plural}")
        return self._kinds[resource]

    def _birth(self) -> Birth:
        self._num_uids += 1
        uid = str(UUID(int=self._num_uids, version=4))
        return Birth(uid=uid, now_s=self._now_s())

    def _find(self, resource: Resource, key: Key) -> Json:
        found = self._store.find(resource, key)
        if found is None:
            raise not_found(where(resource, key))
        return found

    def _answer(self, obj: Json) -> Json:
        answer: Json = recopy(obj)
        return answer

    def _check_namespace(self, kind: ServedKind, key: Key) -> None:
        if not kind.is_namespaced:
            return
        found = self._store.find(NAMESPACES, Key(namespace="", name=key.namespace))
        if found is None:
            raise not_found(f"namespaces {key.namespace}")
        if "deletionTimestamp" in found["metadata"]:
            message = f"namespaces {key.namespace}: is being terminated, got a create; use another"
            raise ForbiddenError(message, reason="Forbidden", status_code=403)

    def _check(self, resource: Resource, new: Json, old: Json | None) -> None:
        reason = self.refuse(resource, recopy(new), recopy(old)) if self.refuse else None
        if reason is not None:
            raise InvalidError(reason[:256], reason="Invalid", status_code=422)

    def _place(self, token: str) -> tuple[int, Key | None]:
        """The version and the last key of the pages before."""
        if not token:
            return self._store.version, None
        version, namespace, name = token.split("/")
        if int(version) < self._store.compacted:
            message = f"list: the continue token is too old, got {token}; list anew"
            raise GoneError(message, reason="Expired", status_code=410)
        return int(version), Key(namespace=namespace, name=name)

    def _replace(self, resource: Resource, key: Key, old: Json, new: Json) -> Json:
        if self._store.find(resource, key) is not old:
            raise conflict(where(resource, key))
        meta = new["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            new = self._store.remove(resource, key, new)
        elif new != old:
            new = self._store.put(resource, key, new)
        self._condition.notify_all()
        return new

    def _delete(self, resource: Resource, key: Key, old: Json) -> None:
        is_marked = "deletionTimestamp" in old["metadata"]
        if resource != NAMESPACES and not old["metadata"].get("finalizers"):
            self._store.remove(resource, key, old)
        elif not is_marked:
            self._store.put(resource, key, doomed(old, self._now_s()))
        self._condition.notify_all()

    def _collect_once(self) -> int:
        found = api_garbage.find_orphans(self._store, self._kinds)
        for resource, key, obj in found:
            self._delete(resource, key, obj)
        empty = api_garbage.find_empty_namespaces(self._store, self._kinds)
        for key, obj in empty:
            self._store.remove(NAMESPACES, key, obj)
        self._condition.notify_all()
        return len(found) + len(empty)


def _matcher(namespace: str, labels: str) -> Callable[[Json], bool]:
    selects = parse_selector(labels)

    def matches(obj: Json) -> bool:
        meta = obj["metadata"]
        return namespace in ("", meta.get("namespace")) and selects(meta.get("labels") or {})

    return matches
