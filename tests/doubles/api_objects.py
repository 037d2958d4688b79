"""The objects of the API server in memory: what there is now, and every change that led there.

One counter gives the resourceVersions of all kinds, as etcd's does. The log of changes is what
watches read and what brings back an older state for the next page of a list. Rules of writing are
in ``api_writes.py``; locking is the caller's.
"""

import marshal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controller.kube.api import Json
from controller.kube.resources import Resource

FIRST_VERSION = 97
"""So that the versions soon gain a digit: compared as text they would go backwards."""


@dataclass(frozen=True, kw_only=True, order=True)
class Key:
    """A place in a collection, in the order of lists."""

    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """An object before and after; None where there is none. ``last`` is what a watch shows of a
    deleted one."""

    version: int
    resource: Resource
    key: Key
    old: Json | None
    new: Json | None
    last: Json


def clone(value: Any) -> Any:
    """A copy of JSON data that shares nothing with it. Raises ``TypeError`` for other data."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clone(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"can't be sent as JSON, got {type(value).__name__}")


def recopy(stored: Any) -> Any:
    """A copy of what the store holds already, which is JSON and nothing else: three times as fast
    as ``clone``, and most of what a long history costs."""
    return marshal.loads(marshal.dumps(stored))


class ObjectStore:
    """The objects by kind and key. What it holds is never changed in place."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Key, Json]] = {}
        self._changes: list[Change] = []
        self._compacted = FIRST_VERSION

    @property
    def version(self) -> int:
        """Of the newest change."""
        return FIRST_VERSION + len(self._changes)

    @property
    def compacted(self) -> int:
        """States before this version can't be had any more."""
        return self._compacted

    def compact(self) -> None:
        """Forgets all states before the present one."""
        self._compacted = self.version

    def find(self, resource: Resource, key: Key) -> Json | None:
        """The object, not to be changed, or None."""
        return self._objects.get(resource, {}).get(key)

    def put(self, resource: Resource, key: Key, obj: Json) -> Json:
        """Stores ``obj`` as the next version, which is written into it. Returns it."""
        return self._change(resource, key, obj, is_deleted=False)

    def remove(self, resource: Resource, key: Key, last: Json) -> Json:
        """Removes the object; ``last`` is how watches see it."""
        return self._change(resource, key, last, is_deleted=True)

    def items(self, resource: Resource) -> list[tuple[Key, Json]]:
        """All objects of the kind in the order of lists."""
        return sorted(self._objects.get(resource, {}).items(), key=lambda item: item[0])

    def items_at(self, resource: Resource, version: int) -> list[tuple[Key, Json]]:
        """The same as they were at ``version``."""
        objects = dict(self._objects.get(resource, {}))
        for change in reversed(self._changes[version - FIRST_VERSION :]):
            if change.resource != resource:
                continue
            if change.old is None:
                del objects[change.key]
            else:
                objects[change.key] = change.old
        return sorted(objects.items(), key=lambda item: item[0])

    def changes_after(self, version: int) -> Iterator[Change]:
        """What has changed since, in order."""
        for index in range(version - FIRST_VERSION, len(self._changes)):
            yield self._changes[index]

    def _change(self, resource: Resource, key: Key, obj: Json, *, is_deleted: bool) -> Json:
        version = self.version + 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        objects = self._objects.setdefault(resource, {})
        change = Change(
            version=version,
            resource=resource,
            key=key,
            old=objects.get(key),
            new=None if is_deleted else obj,
            last=obj,
        )
        self._changes.append(change)
        if is_deleted:
            del objects[key]
        else:
            objects[key] = obj
        return obj
