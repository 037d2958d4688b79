"""A whole list at one resourceVersion, in pages. Waiting after failures is ``informer.py``'s."""

from dataclasses import dataclass

from controller.kube.api import Json, ReadApi
from controller.kube.faults import GoneError
from controller.kube.resources import Resource
from controller.runtime.projection import Projection

MAX_RESTARTS = 3
"""A list whose later pages are gone this often takes longer than the server keeps history."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Which objects: of a kind, in a namespace (empty: in all), with labels that match.
    ``page_size`` is how many of them come in one answer."""

    resource: Resource
    namespace: str = ""
    labels: str = ""
    page_size: int = 500


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All the objects, projected, as they were at ``version``."""

    objects: list[Json]
    version: str


def fetch_listing(api: ReadApi, watched: Watched, *, project: Projection) -> Listing:
    """All the objects. Begins anew where the place in the list is gone.

    Raises: ``GoneError`` where that doesn't help, and what the API raises.
    """
    for _ in range(MAX_RESTARTS):
        try:
            return _fetch_pages(api, watched, project)
        except GoneError:
            continue
    return _fetch_pages(api, watched, project)


def _fetch_pages(api: ReadApi, watched: Watched, project: Projection) -> Listing:
    objects: list[Json] = []
    place = ""
    while True:
        page = api.list_page(
            watched.resource,
            namespace=watched.namespace,
            labels=watched.labels,
            limit=watched.page_size,
            next=place,
        )
        objects += [project(_name_kind(item, watched.resource)) for item in page.items]
        place = page.next
        if not place:
            return Listing(objects=objects, version=page.resource_version)


def _name_kind(obj: Json, resource: Resource) -> Json:
    """The object with its kind, which lists of built-in kinds leave out and watches don't."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
