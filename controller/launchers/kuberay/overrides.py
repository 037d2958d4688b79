"""Which changes to a pod template are refused, and why: of a job, or of a profile.

The rules are tables in ``override_rules.py``; the merge is ``merging.py``, and what is wrong only
after it is ``sizing.py``'s.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.launchers.kuberay import override_rules as rules
from controller.launchers.kuberay.environment import is_reserved_variable
from controller.launchers.kuberay.labels import is_reserved
from controller.launchers.kuberay.places import LOG_SHIPPER, MODEL_CACHE_DIR
from controller.launchers.kuberay.quantities import parse_quantity
from controller.launchers.kuberay.volumes import OUR_DIRS, OUR_VOLUMES, SECRET_DIRS
from distillery.errors import Problem

_PROFILE = "remove it, or ask an administrator for a runtime profile"
_GPUS = "GPUs follow from engine and workers"
_KINDS = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    int: "a whole number",
    bool: "true or false",
}


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A change to a pod template.

    ``path`` is where it stands, ``container`` the template's Ray container. ``by_administrator``:
    a profile's. ``has_model_cache``: a volume of ours is mounted there.
    """

    document: Mapping[str, Any]
    path: str
    container: str
    by_administrator: bool = False
    has_model_cache: bool = False
    gpu_resource: str = "nvidia.com/gpu"


def find_override_problems(patch: Patch) -> list[Problem]:
    """Everything in the patch that is refused, in its order."""
    return list(_template(patch))


def _template(patch: Patch) -> Iterator[Problem]:
    for key, value in patch.document.items():
        path = f"{patch.path}.{key}"
        if key == "metadata" and isinstance(value, Mapping):
            yield from _metadata(path, value)
        elif key == "spec" and isinstance(value, Mapping):
            yield from _spec(patch, path, value)
        elif key in ("metadata", "spec"):
            yield _wrong_type(path, value, dict)
        else:
            yield _problem(path, "is no part of a pod template", value, "use metadata and spec")


def _metadata(path: str, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in metadata.items():
        place = f"{path}.{key}"
        if key not in rules.FREE_METADATA:
            yield _fixed(place, value, "only labels and annotations may be added")
        elif not isinstance(value, Mapping):
            yield _wrong_type(place, value, dict)
        else:
            for name, text in value.items():
                if is_reserved(name) or name in rules.FIXED_ANNOTATIONS:
                    yield _fixed(f"{place}[{name}]", text, "remove it")
                elif not isinstance(text, str):
                    yield _wrong_type(f"{place}[{name}]", text, str)


def _spec(patch: Patch, path: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in spec.items():
        place = f"{path}.{key}"
        if key in rules.FIXED_SPEC:
            yield _fixed(place, value, rules.FIXED_SPEC[key])
        elif key in ("containers", "volumes"):
            if not _is_list_of_named(value):
                yield _problem(place, "must be a list of items with a name", value, "name each")
            elif key == "containers":
                for container in value:
                    yield from _container(patch, f"{place}[{container['name']}]", container)
            else:
                for volume in value:
                    yield from _volume(patch, f"{place}[{volume['name']}]", volume)
        elif patch.by_administrator:
            continue
        elif key == "securityContext":
            yield from _free_fields(place, value, rules.FREE_POD_SECURITY)
        else:
            yield from _free_field(place, value, rules.FREE_SPEC.get(key))


def _container(patch: Patch, path: str, container: Mapping[str, Any]) -> Iterator[Problem]:
    if container["name"] not in (patch.container, LOG_SHIPPER):
        # A profile may add containers of its own, and they are its own business.
        if not patch.by_administrator:
            known = f"use {patch.container} or {LOG_SHIPPER}"
            yield _problem(path, "can't be added", container["name"], known)
        return
    for key, value in container.items():
        place = f"{path}.{key}"
        if key in rules.FIXED_CONTAINER:
            yield _fixed(place, value, rules.FIXED_CONTAINER[key])
        elif key == "env":
            yield from _environment(place, value)
        elif key == "volumeMounts":
            yield from _mounts(patch, place, value)
        elif key == "resources":
            yield from _resources(patch, place, value)
        elif patch.by_administrator:
            continue
        elif key == "securityContext":
            yield from _free_fields(place, value, rules.FREE_CONTAINER_SECURITY)
        else:
            yield from _free_field(place, value, rules.FREE_CONTAINER.get(key))


def _environment(path: str, value: Any) -> Iterator[Problem]:
    if not _is_list_of_named(value):
        yield _problem(path, "must be a list of items with a name", value, "name each")
        return
    for variable in value:
        name = variable["name"]
        if is_reserved_variable(name):
            yield _problem(f"{path}[{name}]", "can't be changed", name, "remove it")


def _mounts(patch: Patch, path: str, value: Any) -> Iterator[Problem]:
    if not _is_list_of_named(value) or not all(
        isinstance(mount.get("mountPath"), str) for mount in value
    ):
        yield _problem(path, "must be a list of items with name and mountPath", value, "give both")
        return
    ours = (*OUR_DIRS, MODEL_CACHE_DIR) if patch.has_model_cache else OUR_DIRS
    for mount in value:
        place = _real_place(mount["mountPath"])
        if mount["name"] in OUR_VOLUMES:
            yield _fixed(f"{path}[{place}]", mount["name"], "mount a volume of your own")
        elif any(_is_within(our, place) for our in ours) or any(
            _is_within(place, secret) for secret in SECRET_DIRS
        ):
            yield _fixed(f"{path}[{place}]", mount["mountPath"], "mount it elsewhere")


def _real_place(mount_path: str) -> str:
    """Where a mount ends up: ``/run`` and ``/var/run`` are one folder."""
    place = posixpath.normpath("/" + mount_path.lstrip("/"))
    return f"/var{place}" if _is_within(place, "/run") else place


def _is_within(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _resources(patch: Patch, path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _wrong_type(path, value, dict)
        return
    for key, amounts in value.items():
        place = f"{path}.{key}"
        if key not in ("requests", "limits"):
            if not patch.by_administrator:
                yield _fixed(place, amounts, _PROFILE)
        elif not isinstance(amounts, Mapping):
            yield _wrong_type(place, amounts, dict)
        else:
            for name, amount in amounts.items():
                yield from _amount(patch, f"{place}[{name}]", name, amount)


def _amount(patch: Patch, path: str, name: str, amount: Any) -> Iterator[Problem]:
    if name == patch.gpu_resource or name.endswith("/gpu"):
        yield _fixed(path, amount, _GPUS)
    elif name == "ephemeral-storage":
        yield _fixed(path, amount, "set spec.runtime.scratchGiB")
    elif name not in rules.FREE_RESOURCES and not patch.by_administrator:
        yield _fixed(path, amount, _PROFILE)
    elif not parse_quantity(amount):
        yield _problem(path, "must be a quantity above 0", amount, "write it as 500m or 8Gi")


def _volume(patch: Patch, path: str, volume: Mapping[str, Any]) -> Iterator[Problem]:
    if volume["name"] in OUR_VOLUMES:
        yield _fixed(path, volume["name"], "choose another name")
    elif not patch.by_administrator:
        for key in volume:
            if key != "name" and key not in rules.FREE_VOLUMES:
                accepted = f"use {', '.join(rules.FREE_VOLUMES)}, or a runtime profile"
                yield _problem(f"{path}.{key}", "is not allowed", key, accepted)
        if "serviceAccountToken" in json.dumps(volume.get("projected"), default=str):
            token = f"{path}.projected.sources"
            yield _fixed(token, "serviceAccountToken", "only the driver speaks to the API server")


def _free_fields(path: str, value: Any, free: Mapping[str, type]) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _wrong_type(path, value, dict)
        return
    for key, field in value.items():
        if key == "runAsUser" and field == 0 and field is not False:
            yield _problem(f"{path}.{key}", "must not be root", field, "use 1 or more")
        else:
            yield from _free_field(f"{path}.{key}", field, free.get(key))


def _free_field(path: str, value: Any, kind: type | None) -> Iterator[Problem]:
    if kind is None:
        yield _fixed(path, value, _PROFILE)
    elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield _wrong_type(path, value, kind)


def _is_list_of_named(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in value
    )


def _fixed(path: str, value: Any, way_out: str) -> Problem:
    return _problem(path, "can't be changed", value, way_out)


def _wrong_type(path: str, value: Any, kind: type) -> Problem:
    return _problem(path, f"must be {_KINDS[kind]}", value, "write it as in a pod template")


def _problem(path: str, wrong: str, value: Any, way_out: str) -> Problem:
    if len(path) > 120:
        path = f"{path[:60]}...{path[-57:]}"
    got = json.dumps(value, default=str, ensure_ascii=False)
    got = got if len(got) <= 32 else f"{got[:29]}..."
    return Problem(path=path, message=f"{wrong}, got {got}; {way_out}"[: 254 - len(path)])
