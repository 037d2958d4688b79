"""Creates what a job owns, and takes nothing that is another's."""

from controller.kube.api import Json, KubeApi
from controller.kube.faults import AlreadyExistsError, NotFoundError
from controller.kube.resources import Resource
from controller.launchers.base import NameConflictError
from controller.runtime.owners import is_controlled_by


def create_own(api: KubeApi, resource: Resource, body: Json, *, uid: str) -> None:
    """Creates the object; one that is there already and belongs to the job ``uid`` is the same.

    Raises: ``NameConflictError`` where it is somebody else's.
    """
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    try:
        api.create(resource, body)
    except AlreadyExistsError as error:
        try:
            found = api.fetch(resource, namespace=namespace, name=name)
        except NotFoundError:
            return  # it has gone since: the next round makes it
        if not is_controlled_by(found, uid):
            raise NameConflictError(
                f"{resource.kind} {namespace}/{name}: is somebody else's, got another owner; "
                "rename the job, or delete that object",
                reason="NameConflict",
            ) from error
