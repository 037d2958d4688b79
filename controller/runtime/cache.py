"""The objects of one kind as last heard of, by key and by index; shared by all threads.

Filled by ``informer.py`` and read by everybody else. What is kept is a projection
(``projection.py``), and what is handed out is the cache's own: it must never be changed.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.kube.api import Json
from controller.runtime.projection import Projection, without_bulk

IndexFunction = Callable[[Json], Iterable[str]]
"""From an object to the values it is found under."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An object before and after; None where there is none. Both have the same key and uid."""

    key: str
    old: Json | None
    new: Json | None


def key_of(obj: Json) -> str:
    """``<namespace>/<name>``; of a cluster's own object ``/<name>``."""
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def split_key(key: str) -> tuple[str, str]:
    """Namespace and name of a key."""
    namespace, _, name = key.partition("/")
    return namespace, name


def by_label(label: str) -> IndexFunction:
    """An index by the value of a label; objects without it are not found."""

    def values(obj: Json) -> Iterable[str]:
        found = (obj["metadata"].get("labels") or {}).get(label)
        return () if found is None else (found,)

    return values


def by_owner_uid(obj: Json) -> Iterable[str]:
    """An index by the uids of all owners."""
    return tuple(owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ())


class Cache:
    """Objects of one kind. Thread-safe.

    Args:
        project: What is kept of an object; must keep its names, uid and resourceVersion.
        indexes: Name of an index to its function, which sees the projection.
    """

    def __init__(
        self,
        *,
        project: Projection = without_bulk,
        indexes: Mapping[str, IndexFunction] | None = None,
    ) -> None:
        self._project = project
        self._functions = dict(indexes or {})
        self._objects: dict[str, Json] = {}
        self._indexes: dict[str, dict[str, set[str]]] = {name: {} for name in self._functions}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._objects)

    def project(self, obj: Json) -> Json:
        """What would be kept of the object."""
        return self._project(obj)

    def get(self, key: str) -> Json | None:
        """The object, or None."""
        with self._lock:
            return self._objects.get(key)

    def keys(self) -> list[str]:
        """All keys, in order."""
        with self._lock:
            return sorted(self._objects)

    def objects(self) -> list[Json]:
        """All objects, in the order of their keys."""
        with self._lock:
            return [self._objects[key] for key in sorted(self._objects)]

    def find(self, index: str, value: str) -> list[Json]:
        """The objects under a value of the index, in the order of their keys."""
        with self._lock:
            return [self._objects[key] for key in sorted(self._indexes[index].get(value, ()))]

    def count(self, index: str) -> dict[str, int]:
        """Each value of the index to the number of its objects."""
        with self._lock:
            return {value: len(keys) for value, keys in self._indexes[index].items()}

    def put(self, projected: Json) -> list[Difference]:
        """Takes in a projected object; says what has changed: one difference, or two where another
        object had its name, or none where it is the very version that is here."""
        key = key_of(projected)
        with self._lock:
            old = self._objects.get(key)
            if old is not None and _version(old) == _version(projected):
                return []
            self._set(key, old, projected)
        if old is not None and _uid(old) != _uid(projected):
            return [
                Difference(key=key, old=old, new=None),
                Difference(key=key, old=None, new=projected),
            ]
        return [Difference(key=key, old=old, new=projected)]

    def remove(self, projected: Json) -> list[Difference]:
        """Drops the object; ``projected`` is its last state. None was here: nothing has changed."""
        key = key_of(projected)
        with self._lock:
            old = self._objects.get(key)
            if old is None:
                return []
            self._set(key, old, None)
        last = projected if _uid(old) == _uid(projected) else old
        return [Difference(key=key, old=last, new=None)]

    def replace(self, projected: Iterable[Json]) -> list[Difference]:
        """Makes these all the objects there are, and says what has changed, by key."""
        listed = {key_of(obj): obj for obj in projected}
        with self._lock:
            gone = [obj for key, obj in self._objects.items() if key not in listed]
        found = [difference for obj in gone for difference in self.remove(obj)]
        found += [difference for obj in listed.values() for difference in self.put(obj)]
        return sorted(found, key=lambda difference: difference.key)

    def _set(self, key: str, old: Json | None, new: Json | None) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(old) if old is not None else ():
                _discard(index, value, key)
            for value in function(new) if new is not None else ():
                index.setdefault(value, set()).add(key)
        if new is None:
            del self._objects[key]
        else:
            self._objects[key] = new


def _discard(index: dict[str, set[str]], value: str, key: str) -> None:
    keys = index.get(value, set())
    keys.discard(key)
    if not keys:
        index.pop(value, None)


def _uid(obj: Json) -> str:
    return str(obj["metadata"]["uid"])


def _version(obj: Json) -> tuple[str, str]:
    return _uid(obj), str(obj["metadata"]["resourceVersion"])
