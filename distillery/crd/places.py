"""Parts of a schema by their dotted path, such as ``spec.students[].model``."""

from collections.abc import Iterator
from typing import Any

from distillery.errors import InvariantError

Schema = dict[str, Any]
"""A JSON schema or a part of one."""


def find_place(schema: Schema, path: str) -> Schema:
    """The schema at ``path`` below ``schema``; the empty path is ``schema`` itself.

    Raises: ``InvariantError`` where there is none.
    """
    for part in path.split(".") if path else ():
        name, _, of_items = part.partition("[")
        try:
            schema = schema["properties"][name]
            schema = schema["items"] if of_items else schema
        except KeyError as error:
            raise InvariantError(
                f"{path}: the schema has no such place, got none at '{part}'; mend the path"
            ) from error
    return schema


def iter_places(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema below ``schema`` with its path, parents first; itself is not among them."""
    for name, child in schema.get("properties", {}).items():
        place = f"{path}.{name}".lstrip(".")
        yield place, child
        yield from iter_places(child, place)
    if "items" in schema:
        yield f"{path}[]", schema["items"]
        yield from iter_places(schema["items"], f"{path}[]")
