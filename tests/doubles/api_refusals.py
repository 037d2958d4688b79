"""Why the API server in memory refuses a request, in the faults that the port knows."""

from controller.kube.api import Json
from controller.kube.faults import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    UnreachableError,
)
from controller.kube.resources import Resource
from tests.doubles.api_objects import Key


def parse_version(text: str) -> int:
    """The resourceVersion as the counter's number. Raises what a 500 is."""
    if not text.isdigit():
        message = f"resourceVersion: must be a number, got {text!r}; give that of a list"
        raise UnreachableError(message, reason="InternalError")
    return int(text)


def check_same(
    resource: Resource, key: Key, old: Json, *, uid: str = "", version: str = ""
) -> None:
    """Raises ``ConflictError`` where uid or resourceVersion are given and not the object's."""
    meta = old["metadata"]
    if (uid or meta["uid"], version or meta["resourceVersion"]) != (
        meta["uid"],
        meta["resourceVersion"],
    ):
        raise conflict(where(resource, key))


def where(resource: Resource, key: Key) -> str:
    """The object in words."""
    return f"{resource.plural} {key.namespace}/{key.name}"


def conflict(place: str) -> ConflictError:
    """409 to a write."""
    message = f"{place}: has changed since or is another object, got an old one; read it anew"
    return ConflictError(message, reason="Conflict", status_code=409)


def already_exists(resource: Resource, key: Key) -> AlreadyExistsError:
    """409 to a create."""
    message = f"{where(resource, key)}: already exists, got a create; choose another name"
    return AlreadyExistsError(message, reason="AlreadyExists", status_code=409)


def not_found(place: str) -> NotFoundError:
    """404."""
    return NotFoundError(f"{place}: not found", reason="NotFound", status_code=404)
