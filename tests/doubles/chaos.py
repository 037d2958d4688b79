"""An API port that fails as a real one does: before a request, or after it was carried out.

A *crash* is no error but the end of the process, between any two requests: the test catches it and
starts another replica.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, TypeVar

from controller.kube.api import Json, KubeApi, Page, WatchEvent
from controller.kube.faults import ConflictError, ForbiddenError, ThrottledError, UnreachableError
from controller.kube.resources import Resource

T = TypeVar("T")


class Crash(BaseException):
    """The process is killed here."""


class Mishap(StrEnum):
    """What becomes of a request."""

    NONE = "none"
    UNREACHABLE = "unreachable"
    ANSWER_LOST = "answer lost"
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"


class ChaosApi:
    """``inner``, but for what ``draw`` says of each write. Reads fail only as ``draw_read`` says.

    Args:
        draw: The next write's mishap.
        draw_read: The next read's.
    """

    def __init__(
        self, inner: KubeApi, *, draw: Callable[[], Mishap], draw_read: Callable[[], Mishap]
    ) -> None:
        self._inner = inner
        self._draw = draw
        self._draw_read = draw_read

    def fetch(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """As ``ReadApi.fetch``."""
        return self._meet(
            self._draw_read(),
            lambda: self._inner.fetch(resource, namespace=namespace, name=name),
        )

    def list_page(self, resource: Resource, **options: Any) -> Page:
        """As ``ReadApi.list_page``."""
        return self._meet(self._draw_read(), lambda: self._inner.list_page(resource, **options))

    def watch(
        self, resource: Resource, **options: Any
    ) -> AbstractContextManager[Iterator[WatchEvent]]:
        """As ``ReadApi.watch``."""
        return self._inner.watch(resource, **options)

    def create(self, resource: Resource, body: Json) -> Json:
        """As ``WriteApi.create``."""
        return self._meet(self._draw(), lambda: self._inner.create(resource, body))

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
        return self._meet(
            self._draw(),
            lambda: self._inner.merge(
                resource, namespace=namespace, name=name, patch=patch, subresource=subresource
            ),
        )

    def delete(
        self, resource: Resource, *, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """As ``WriteApi.delete``."""
        self._meet(
            self._draw(),
            lambda: self._inner.delete(
                resource, namespace=namespace, name=name, uid=uid, version=version
            ),
        )

    def _meet(self, mishap: Mishap, request: Callable[[], T]) -> T:
        match mishap:
            case Mishap.UNREACHABLE:
                raise UnreachableError("api: no answer", reason="ApiUnreachable", delay_s=1.0)
            case Mishap.THROTTLED:
                raise ThrottledError("api: too many requests", reason="Throttled", delay_s=2.0)
            case Mishap.CONFLICT:
                raise ConflictError("api: has changed", reason="Conflict", status_code=409)
            case Mishap.FORBIDDEN:
                raise ForbiddenError("api: not allowed", reason="Forbidden", status_code=403)
            case Mishap.CRASH_BEFORE:
                raise Crash
        done = request()
        if mishap == Mishap.CRASH_AFTER:
            raise Crash
        if mishap == Mishap.ANSWER_LOST:
            raise UnreachableError("api: answer lost", reason="ApiUnreachable", delay_s=1.0)
        return done
