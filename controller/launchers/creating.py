"""Creates what a job owns, and takes nothing that is another's."""

from controller.kube.api import Json, KubeApi
from controller.kube.faults import AlreadyExistsError, NotFoundError
from controller.kube.resources import Resource
from controller.launchers.base import NameConflictError
from controller.runtime.owners import controller_of, is_controlled_by
from distillery.errors import TransientError

LEFT_OVER_DELAY_S = 1.0


def create_own(api: KubeApi, resource: Resource, body: Json, *, uid: str) -> None:
    """Creates the object; one that is there already and belongs to the job ``uid`` is the same.

    Raises: ``NameConflictError`` where it is somebody else's; ``TransientError`` where it is of a
    former job of the same name, and so goes by itself.
    """
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    try:
        api.create(resource, body)
    except AlreadyExistsError as error:
        found = _find(api, resource, namespace=namespace, name=name)
        if found is not None and is_controlled_by(found, uid):
            return
        if found is None or _is_left_over(found, body):
            raise TransientError(
                f"{resource.kind} {namespace}/{name}: is left over, got one of a former job of "
                "that name; it goes by itself",
                reason="FormerJob",
                delay_s=LEFT_OVER_DELAY_S,
            ) from error
        raise NameConflictError(
            f"{resource.kind} {namespace}/{name}: is somebody else's, got another owner; "
            "rename the job, or delete that object",
            reason="NameConflict",
        ) from error


def _find(api: KubeApi, resource: Resource, *, namespace: str, name: str) -> Json | None:
    try:
        return api.fetch(resource, namespace=namespace, name=name)
    except NotFoundError:
        return None


def _is_left_over(found: Json, body: Json) -> bool:
    """Whether another job of the same name made it: that job is gone, and its objects will be."""
    former, owner = controller_of(found), controller_of(body)
    if former is None or owner is None:
        return False
    return all(former.get(key) == owner[key] for key in ("apiVersion", "kind", "name"))
