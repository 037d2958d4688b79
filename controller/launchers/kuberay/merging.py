"""Strategic merge of pod templates, as the API server would do it, as far as templates need it.

Which changes are allowed is ``overrides.py``'s.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "hostAliases": "ip",
}
"""Lists whose items are told apart by this field."""
_MERGED_ITEMS = frozenset({"containers", "initContainers"})
"""Lists whose items are merged; elsewhere an item replaces the one of its name."""
_UNITED = frozenset({"tolerations"})
"""Lists to which a patch adds."""


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``patch`` in it; neither is changed, and nothing of them is shared."""
    merged = copy.deepcopy(dict(base))
    for key, value in patch.items():
        merged[key] = _merge_value(key, merged.get(key), value)
    return merged


def _merge_value(key: str, old: Any, new: Any) -> Any:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return merge(old, new)
    if isinstance(old, list) and isinstance(new, list):
        if key in _KEYS:
            return _merge_items(key, old, new)
        if key in _UNITED:
            return [*old, *copy.deepcopy([item for item in new if item not in old])]
    return copy.deepcopy(new)


def _merge_items(key: str, old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    name = _KEYS[key]
    merged = list(old)
    for item in new:
        place = _find(merged, name, item.get(name))
        if place is None:
            merged.append(copy.deepcopy(item))
        elif key in _MERGED_ITEMS:
            merged[place] = merge(merged[place], item)
        else:
            merged[place] = copy.deepcopy(item)
    return merged


def _find(items: Sequence[Any], name: str, value: Any) -> int | None:
    return next((place for place, item in enumerate(items) if item.get(name) == value), None)
