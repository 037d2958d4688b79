"""What a job that has started may no longer change, as rules of the whole resource.

A started job is one whose ``status.runtime`` is set: status can be seen by rules at the root
alone, so they all stand there. The pod-less ``distillery run`` has no such rules: it takes an
edited file for another input and runs what that changes.
"""

from collections.abc import Iterator

from distillery.crd.places import Schema, find_place
from distillery.crd.rules import Rule, attach_rule

MUTABLE = (
    "spec.suspend",
    "spec.retries",
    "spec.runtime",
    "spec.ttlSecondsAfterFinished",
    "spec.teacher.minSuccessRatio",
    "spec.evaluation.promoteIf",
)
"""What may change at any time; it counts from the next attempt on. No result depends on it."""

_NOT_STARTED = "!has(oldSelf.status) || !has(oldSelf.status.runtime)"
_MESSAGE = (
    "is fixed once the job has started, got another value; delete the job and apply the new one, "
    "steps it doesn't change are found finished"
)


def attach_immutability(schema: Schema) -> None:
    """Adds a rule for each field of ``spec`` that is fixed once the job has started."""
    for path in fixed_paths(schema):
        attach_rule(schema, _fix(path, schema))


def fixed_paths(schema: Schema) -> tuple[str, ...]:
    """The fixed fields: each as high up as no mutable one is below it."""
    return tuple(_fixed_below(schema, "spec"))


def _fixed_below(schema: Schema, parent: str) -> Iterator[str]:
    for name in find_place(schema, parent)["properties"]:
        path = f"{parent}.{name}"
        if path in MUTABLE:
            continue
        if any(each.startswith(f"{path}.") for each in MUTABLE):
            yield from _fixed_below(schema, path)
        else:
            yield path


def _fix(path: str, schema: Schema) -> Rule:
    """A field left away stays away, one that is there stays the same. (Optional values are no way
    to say it: their comparison counts as one without bounds.)"""
    same = f"self.{path} == oldSelf.{path}"
    optional = list(_optional_parts(path, schema))
    if optional:
        is_there, was_there = (
            " && ".join(f"has({side}.{part})" for part in optional) for side in ("self", "oldSelf")
        )
        same = f"({is_there}) == ({was_there}) && (!({is_there}) || {same})"
    return Rule(
        expression=f"{_NOT_STARTED} || ({same})",
        message=_MESSAGE,
        field=f".{path}",
    )


def _optional_parts(path: str, schema: Schema) -> Iterator[str]:
    """The fields on the way to ``path``, itself among them, that may be left away."""
    parent, _, name = path.rpartition(".")
    if not parent:
        return
    yield from _optional_parts(parent, schema)
    if name not in find_place(schema, parent).get("required", ()):
        yield path
