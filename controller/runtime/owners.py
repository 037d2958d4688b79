"""From a child to the key of its parent, so that what happens to a child wakes the parent.

Read from the child's controller reference. A parent of the same name that isn't the one meant (it
was deleted and made anew) is found out by uid. Used as a handler of ``informer.py``; knows no kind.
"""

from collections.abc import Callable

from controller.kube.api import Json
from controller.kube.resources import Resource
from controller.runtime.cache import Cache

Handler = Callable[[Json | None, Json | None], None]
"""Told of an object before and after, one of them None where there is none."""

KeyMapper = Callable[[Json], str | None]
"""From an object to the key to look at, or None."""


def controller_of(obj: Json) -> Json | None:
    """The object's controller reference: the one owner that made it; or None."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def is_controlled_by(obj: Json, uid: str) -> bool:
    """Whether the object with this uid made it."""
    owner = controller_of(obj)
    return owner is not None and owner["uid"] == uid


def parent_key(obj: Json, *, parent: Resource, parents: Cache) -> str | None:
    """The key of the ``parent`` kind's object that made this one.

    Returns: None where another kind made it, or the parent isn't in the cache, or is another one
    of the same name. A parent that comes into the cache later is looked at then anyway.
    """
    owner = controller_of(obj)
    if owner is None or owner["kind"] != parent.kind:
        return None
    # The version may be another one: objects outlive versions.
    if owner["apiVersion"].rpartition("/")[0] != parent.group:
        return None
    key = f"{obj['metadata'].get('namespace', '')}/{owner['name']}"
    found = parents.get(key)
    return key if found is not None and found["metadata"]["uid"] == owner["uid"] else None


def parent_mapper(*, parent: Resource, parents: Cache) -> KeyMapper:
    """``parent_key`` for handlers."""
    return lambda obj: parent_key(obj, parent=parent, parents=parents)


def waking(wake: Callable[[str], None], *, by: KeyMapper) -> Handler:
    """The handler that calls ``wake`` with the keys of an object's old and new state, each once:
    a child that changes hands wakes both parents."""

    def handle(old: Json | None, new: Json | None) -> None:
        keys = [by(obj) for obj in (old, new) if obj is not None]
        for key in dict.fromkeys(keys):
            if key is not None:
                wake(key)

    return handle
