"""All that there is in a namespace, of whatever kind the API server knows; and away with it."""

import json

from controller.kube.faults import ConflictError, NotFoundError
from controller.kube.http import HttpApi
from controller.kube.resources import DISTILLATION_JOBS, EVENTS, LEASES, RAY_JOBS, Resource

_TOLD_OF_THE_GONE = ("events", EVENTS.plural, LEASES.plural)
"""Events outlive what they tell of; a lease is the controller's own."""


class Everything:
    """Lists namespaces. The kinds are those the server knew at first."""

    def __init__(self, api: HttpApi) -> None:
        self._api = api
        self._kinds = [*self._kinds_of("/api/v1", group="", version="v1")]
        for group in json.loads(api.fetch_text("/apis"))["groups"]:
            found = group["preferredVersion"]
            self._kinds += self._kinds_of(
                f"/apis/{found['groupVersion']}", group=group["name"], version=found["version"]
            )

    def within(self, namespace: str) -> set[str]:
        """``<kind>/<name>`` of all objects."""
        return {
            f"{kind.kind}/{raw['metadata']['name']}"
            for kind in self._kinds
            for raw in self._api.list_page(kind, namespace=namespace).items
        }

    def _kinds_of(self, path: str, *, group: str, version: str) -> list[Resource]:
        return [
            Resource(group=group, version=version, plural=each["name"], kind=each["kind"])
            for each in json.loads(self._api.fetch_text(path))["resources"]
            if each["namespaced"]
            and "list" in each["verbs"]
            and "/" not in each["name"]
            and each["name"] not in _TOLD_OF_THE_GONE
        ]


def sweep(api: HttpApi) -> None:
    """Removes all jobs and RayJobs of the session's tests so far."""
    for resource in (DISTILLATION_JOBS, RAY_JOBS):
        for raw in api.list_page(resource).items:
            metadata = raw["metadata"]
            place = {"namespace": metadata["namespace"], "name": metadata["name"]}
            try:
                api.merge(resource, **place, patch={"metadata": {"finalizers": None}})
                api.delete(resource, **place, uid=metadata["uid"])
            except (NotFoundError, ConflictError):
                continue
