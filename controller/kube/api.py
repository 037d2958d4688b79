"""The port to the API server: what the controller asks of it, and the form of the answers.

Implemented by ``http.py`` for real and by ``tests/doubles/api_server.py`` in memory; the same
contract tests run on both. Every method may raise ``faults.UnreachableError``,
``faults.ThrottledError``, ``faults.ForbiddenError``; others are named where they belong.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from controller.kube.resources import Resource

Json = dict[str, Any]
"""A raw object, exactly as the API server sends it."""


class EventType(StrEnum):
    """What a watch tells of. ``BOOKMARK`` carries nothing but a newer resourceVersion."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, kw_only=True)
class WatchEvent:
    """One line of a watch. ``object`` of a bookmark has only kind and resourceVersion."""

    type: EventType
    object: Json


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a list. ``next``: where the following part begins; empty at the end.
    ``resource_version`` is the whole list's, the same on each page."""

    items: list[Json]
    resource_version: str
    next: str = ""


class ReadApi(Protocol):
    """Reading."""

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """The object. Raises ``NotFoundError``."""
        ...

    def list_page(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        limit: int = 500,
        next: str = "",
    ) -> Page:
        """A page of the objects in the namespace (empty: in all).

        Args:
            labels: A selector, such as ``a=b,c``.
            limit: Objects of one page.
            next: Of the page before.

        Raises: ``GoneError`` where ``next`` is too old, ``NotFoundError`` without the CRD.
        """
        ...

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
        """What changes after ``resource_version``, with bookmarks.

        The iterator ends when the server ends the watch, after ``timeout_s`` at the latest. An
        ERROR event is raised as the fault it carries. Leaving the context closes the connection,
        from another thread too.

        Args:
            silence_s: A connection that brings nothing for so long is broken.

        Raises: ``GoneError`` where ``resource_version`` is too old, as status or as event.
        """
        ...


class WriteApi(Protocol):
    """Writing. A replica that doesn't lead is refused with ``LeaseLostError``."""

    def create(self, resource: Resource, body: Json) -> Json:
        """Creates the object in its ``metadata.namespace``.

        Raises: ``AlreadyExistsError``, ``InvalidError``, ``NotFoundError`` without the CRD or the
        namespace.
        """
        ...

    def merge(
        self,
        resource: Resource,
        *,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        subresource: str = "",
    ) -> Json:
        """Applies a JSON merge patch. With ``metadata.resourceVersion`` in it the patch holds only
        for that version.

        Raises: ``ConflictError``, ``NotFoundError``, ``InvalidError``.
        """
        ...

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """Deletes the object with this uid (and resourceVersion, where given); what it owns goes
        in the background. Nothing happens where it isn't there.

        Raises: ``ConflictError`` where another object has the name now.
        """
        ...


class KubeApi(ReadApi, WriteApi, Protocol):
    """Both."""
