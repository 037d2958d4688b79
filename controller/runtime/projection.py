"""What is kept of an object in a cache: enough to decide by, and no more.

5,000 objects whole take three to four times the memory. Used by ``cache.py``; which fields of a
kind nobody needs is said by whoever makes its informer.
"""

from collections.abc import Callable, Sequence

from controller.kube.api import Json

Projection = Callable[[Json], Json]
"""From an object to what is kept of it; never changes the object."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def without_bulk(obj: Json) -> Json:
    """The object without what only other clients read: managedFields and kubectl's annotation."""
    meta = obj["metadata"]
    kept = {key: value for key, value in meta.items() if key != "managedFields"}
    if LAST_APPLIED in (meta.get("annotations") or {}):
        annotations = meta["annotations"].items()
        kept["annotations"] = {key: value for key, value in annotations if key != LAST_APPLIED}
    return {**obj, "metadata": kept}


def without(*paths: str) -> Projection:
    """The projection that drops these dotted paths, such as ``spec.rayClusterSpec``, and bulk."""
    split = [path.split(".") for path in paths]

    def project(obj: Json) -> Json:
        for path in split:
            obj = _drop(obj, path)
        return without_bulk(obj)

    return project


def _drop(obj: Json, path: Sequence[str]) -> Json:
    name, *rest = path
    if name not in obj:
        return obj
    if not rest:
        return {key: value for key, value in obj.items() if key != name}
    inner = obj[name]
    return {**obj, name: _drop(inner, rest)} if isinstance(inner, dict) else obj
