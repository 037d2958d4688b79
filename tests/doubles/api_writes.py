"""How a write changes an object: pure functions from the old object and a request to the new one.

Which fields are the server's own, what a status write may touch, when the generation rises. Storing
is ``api_objects.py``'s, conflicts and finding are ``api_server.py``'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controller.kube.api import Json
from controller.kube.faults import InvalidError
from tests.doubles.api_kinds import ServedKind
from tests.doubles.api_objects import clone

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_SERVERS_OWN = (
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
)


@dataclass(frozen=True, kw_only=True)
class Birth:
    """What the server gives a new object."""

    uid: str
    now_s: float


def timestamp(now_s: float) -> str:
    """A moment as objects carry it."""
    return datetime.fromtimestamp(now_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge_patch(target: Any, patch: Any) -> Any:
    """``target`` after a JSON merge patch (RFC 7386); neither is changed."""
    if not isinstance(patch, Mapping):
        return clone(patch)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def created(kind: ServedKind, body: Json, birth: Birth) -> Json:
    """The object that a create makes. Raises ``InvalidError``."""
    obj: Json = clone(body)
    resource = kind.resource
    obj.update(apiVersion=resource.api_version, kind=resource.kind)
    meta = obj.setdefault("metadata", {})
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        meta.pop(field, None)
    _check_names(resource.plural, meta)
    meta.update(uid=birth.uid, creationTimestamp=timestamp(birth.now_s))
    if kind.has_generation:
        meta["generation"] = 1
    if kind.has_status:
        obj.pop("status", None)
    return obj


def merged(kind: ServedKind, old: Json, patch: Mapping[str, Any], *, is_status: bool) -> Json:
    """The object that a merge patch makes of ``old``. Raises ``InvalidError``."""
    changed = merge_patch(old, patch)
    _check_identity(old["metadata"], changed["metadata"], is_status=is_status)
    if is_status:
        return _with_status(old, changed)
    new: Json = _with_status(changed, old) if kind.has_status else changed
    own = {key: old["metadata"][key] for key in _SERVERS_OWN if key in old["metadata"]}
    meta = {key: value for key, value in new["metadata"].items() if key not in _SERVERS_OWN}
    new = {**new, "apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": meta | own}
    _check_names(kind.resource.plural, new["metadata"])
    _check_finalizers(old["metadata"], new["metadata"])
    return with_next_generation(new) if kind.has_generation and _differs(kind, old, new) else new


def doomed(obj: Json, now_s: float) -> Json:
    """The object that waits for its finalizers."""
    mark = {"deletionTimestamp": timestamp(now_s), "deletionGracePeriodSeconds": 0}
    marked = {**obj, "metadata": {**obj["metadata"], **mark}}
    return with_next_generation(marked) if "generation" in obj["metadata"] else marked


def with_next_generation(obj: Json) -> Json:
    """The object one generation on."""
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "generation": meta["generation"] + 1}}


def _with_status(obj: Json, source: Json) -> Json:
    rest = {key: value for key, value in obj.items() if key != "status"}
    return {**rest, "status": source["status"]} if "status" in source else rest


def _differs(kind: ServedKind, old: Json, new: Json) -> bool:
    """Whether anything has changed that says what is wanted."""
    passed_over = {"metadata", "status"} if kind.has_status else {"metadata"}
    fields = (old.keys() | new.keys()) - passed_over
    return any((name in old, old.get(name)) != (name in new, new.get(name)) for name in fields)


def _check_names(plural: str, meta: Json) -> None:
    name = meta.get("name", "")
    # Names of roles and their bindings may hold almost anything.
    if not name or len(name) > 253 or not (_NAME.fullmatch(name) or plural.startswith("role")):
        raise _invalid("metadata.name: must be a DNS-1123 subdomain", name)
    for key, value in (meta.get("labels") or {}).items():
        if not isinstance(value, str) or len(value) > 63 or not _LABEL.fullmatch(value):
            raise _invalid(f"metadata.labels[{key}]: must be a label value", value)


def _check_identity(old: Json, new: Json, *, is_status: bool) -> None:
    """A status write passes over the uid, as over all metadata but the version."""
    for field in ("name", "namespace") if is_status else ("name", "namespace", "uid"):
        if new.get(field) not in (None, old.get(field)):
            raise _invalid(f"metadata.{field}: field is immutable", new[field])


def _check_finalizers(old: Json, new: Json) -> None:
    added = set(new.get("finalizers") or ()) - set(old.get("finalizers") or ())
    if added and "deletionTimestamp" in old:
        problem = "metadata.finalizers: no new ones can be added to an object being deleted"
        raise _invalid(problem, sorted(added))


def _invalid(problem: str, value: object) -> InvalidError:
    message = f"{problem}, got {value!r}; change it"
    return InvalidError(message[:256], reason="Invalid", status_code=422)
