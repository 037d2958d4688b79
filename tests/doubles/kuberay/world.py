"""The API server as the double uses it: find, list, make sure of, change where it differs."""

from typing import Any

from controller.kube.api import Json, KubeApi
from controller.kube.faults import AlreadyExistsError, NotFoundError
from controller.kube.resources import Resource


class World:
    """The objects of a cluster. Faults of the API server go up: the next step tries again."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object, or None."""
        try:
            return self._api.fetch(resource, namespace=namespace, name=name)
        except NotFoundError:
            return None

    def list_all(self, resource: Resource, labels: str = "") -> list[Json]:
        """The objects of all namespaces; none where the kind isn't served."""
        try:
            page = self._api.list_page(resource, labels=labels)
            found = list(page.items)
            while page.next:
                page = self._api.list_page(resource, labels=labels, next=page.next)
                found += page.items
        except NotFoundError:
            return []
        return found

    def ensure(self, resource: Resource, body: Json) -> None:
        """Creates the object where it isn't there."""
        metadata = body["metadata"]
        if self.find(resource, metadata["namespace"], metadata["name"]) is None:
            self.create(resource, body)

    def create(self, resource: Resource, body: Json) -> None:
        """Creates the object; one that is there stays."""
        try:
            self._api.create(resource, body)
        except AlreadyExistsError:
            return

    def change_status(self, resource: Resource, raw: Json, changes: Json) -> None:
        """Merges ``changes`` into the status, where that changes anything."""
        if differs(raw.get("status"), changes):
            patch = {
                "metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]},
                "status": changes,
            }
            self._merge(resource, raw, patch, subresource="status")

    def change_metadata(self, resource: Resource, raw: Json, changes: Json) -> None:
        """Merges ``changes`` into the metadata."""
        self._merge(resource, raw, {"metadata": changes})

    def change_data(self, resource: Resource, raw: Json, changes: Json) -> None:
        """Merges ``changes`` into the data of a ConfigMap."""
        self._merge(resource, raw, {"data": changes})

    def delete(self, resource: Resource, raw: Json) -> None:
        """Deletes the object, if it is still there."""
        metadata = raw["metadata"]
        if "deletionTimestamp" not in metadata:
            self._api.delete(
                resource,
                namespace=metadata["namespace"],
                name=metadata["name"],
                uid=metadata["uid"],
            )

    def _merge(self, resource: Resource, raw: Json, patch: Json, *, subresource: str = "") -> None:
        metadata = raw["metadata"]
        self._api.merge(
            resource,
            namespace=metadata["namespace"],
            name=metadata["name"],
            patch=patch,
            subresource=subresource,
        )


def differs(old: Any, patch: Any) -> bool:
    """Whether the merge patch would change anything."""
    if not isinstance(patch, dict):
        return bool(old != patch)
    if not isinstance(old, dict):
        return any(value is not None for value in patch.values()) or not patch
    return any(
        name in old if value is None else name not in old or differs(old[name], value)
        for name, value in patch.items()
    )
