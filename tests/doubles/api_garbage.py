"""Garbage collection of the API server in memory, one step at a time: what the
kube-controller-manager does by itself on a real one."""

from collections.abc import Iterator, Mapping

from controller.kube.api import Json
from controller.kube.resources import Resource
from tests.doubles.api_kinds import NAMESPACES, ServedKind
from tests.doubles.api_objects import Key, ObjectStore

Found = tuple[Resource, Key, Json]


def find_orphans(store: ObjectStore, kinds: Mapping[Resource, ServedKind]) -> list[Found]:
    """Objects whose owners, one or more, are all gone, or whose namespace is being deleted. An
    owner of a kind that isn't served counts as there: nobody can tell."""
    present = {obj["metadata"]["uid"]: key.namespace for _, key, obj in _all(store, kinds)}
    served = {(kind.resource.api_version, kind.resource.kind) for kind in kinds.values()}
    ended = {key.name for key, obj in store.items(NAMESPACES) if _is_marked(obj)}

    def is_gone(owner: Json, namespace: str) -> bool:
        if (owner["apiVersion"], owner["kind"]) not in served:
            return False
        return present.get(owner["uid"]) not in ("", namespace)

    def is_orphan(key: Key, obj: Json) -> bool:
        owners = obj["metadata"].get("ownerReferences") or ()
        return bool(owners) and all(is_gone(owner, key.namespace) for owner in owners)

    return [
        (resource, key, obj)
        for resource, key, obj in _all(store, kinds)
        if not _is_marked(obj) and (key.namespace in ended or is_orphan(key, obj))
    ]


def find_empty_namespaces(
    store: ObjectStore, kinds: Mapping[Resource, ServedKind]
) -> list[tuple[Key, Json]]:
    """Namespaces being deleted in which nothing is left."""
    used = {key.namespace for _, key, _ in _all(store, kinds)}
    return [
        (key, obj)
        for key, obj in store.items(NAMESPACES)
        if _is_marked(obj) and key.name not in used
    ]


def _all(store: ObjectStore, kinds: Mapping[Resource, ServedKind]) -> Iterator[Found]:
    for resource in kinds:
        for key, obj in store.items(resource):
            yield resource, key, obj


def _is_marked(obj: Json) -> bool:
    return "deletionTimestamp" in obj["metadata"]
