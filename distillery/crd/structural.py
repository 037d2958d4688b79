"""Pydantic's JSON schema as the structural schema that a CustomResourceDefinition holds.

No references, no nulls, no keyword that the API server refuses; a keyword not known here is an
error, so that no bound is lost in silence. Fields with a ``type`` become one object in
``unions.py``. Rules and list types are added by ``definition.py``.
"""

import json
from typing import Any, Literal, get_origin

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from distillery.crd.places import Schema
from distillery.crd.unions import flatten_union
from distillery.errors import InvariantError

_COPIED = (
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
)
_CONVERTED = (
    "description",
    "default",
    "const",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "properties",
    "required",
    "items",
)
_DROPPED = ("title", "$defs", "discriminator", "additionalProperties")


def build_structural(model: type[BaseModel]) -> Schema:
    """The structural schema of ``model``: every field described where the models describe it."""
    document = model.model_json_schema(by_alias=True, schema_generator=_ShortDefaults)
    return _Converter(document.get("$defs", {})).convert(document)


def remove_defaults(schema: Schema) -> None:
    """Takes the defaults out of ``schema`` and all below it: the API server fills in none."""
    schema.pop("default", None)
    for child in (*schema.get("properties", {}).values(), *_items_of(schema)):
        remove_defaults(child)


class _ShortDefaults(GenerateJsonSchema):
    """Writes an object's default without what its fields' own defaults fill in."""

    def encode_default(self, dft: Any) -> Any:
        return _shortest(dft) if isinstance(dft, BaseModel) else super().encode_default(dft)


def _shortest(value: BaseModel) -> Schema:
    """What a user would have to write for ``value``: its tag, and what is not as by default."""
    short: Schema = {}
    for name, field in type(value).model_fields.items():
        given = getattr(value, name)
        if get_origin(field.annotation) is not Literal and given == field.get_default(
            call_default_factory=True, validated_data={}
        ):
            continue
        short[field.alias or name] = _shortest(given) if isinstance(given, BaseModel) else given
    plain: Schema = to_jsonable_python(short)
    return plain


class _Converter:
    """Converts one document, whose ``definitions`` its references name."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, node: Schema) -> Schema:
        """The structural form of ``node``."""
        node = self._inline(node)
        if "discriminator" in node:
            converted = self._convert_union(node)
        else:
            _check_keywords(node)
            converted = {
                **_described(node),
                **_bounds(node),
                **({"items": self.convert(node["items"])} if "items" in node else {}),
                **(self._convert_object(node) if node.get("type") == "object" else {}),
            }
        return _with_default(converted, node.get("default"))

    def _inline(self, node: Schema) -> Schema:
        """``node`` with what it refers to in its place; its own words win. Null is left out: a
        field without a value is left away."""
        while True:
            if "$ref" in node:
                target = self._definitions[node["$ref"].rpartition("/")[2]]
            elif "anyOf" in node:
                given = [each for each in node["anyOf"] if each.get("type") != "null"]
                if len(given) != 1:
                    raise InvariantError(
                        f"{node.get('title', 'schema')}: must be one form or null, got "
                        f"{len(given)} forms; use a union with a discriminator"
                    )
                target = given[0]
            else:
                return node
            own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
            node = {**target, **own}

    def _convert_union(self, node: Schema) -> Schema:
        tag = node["discriminator"]["propertyName"]
        members = {
            value: self.convert({"$ref": reference})
            for value, reference in node["discriminator"]["mapping"].items()
        }
        return flatten_union(members, tag=tag, description=_described(node).get("description", ""))

    def _convert_object(self, node: Schema) -> Schema:
        if "properties" not in node:
            # Free-form, such as a part of a pod template.
            return {"x-kubernetes-preserve-unknown-fields": True}
        converted: Schema = {
            "properties": {name: self.convert(each) for name, each in node["properties"].items()}
        }
        if node.get("required"):
            converted["required"] = list(node["required"])
        return converted


def _items_of(schema: Schema) -> list[Schema]:
    return [schema["items"]] if "items" in schema else []


def _check_keywords(node: Schema) -> None:
    unknown = set(node) - {*_COPIED, *_CONVERTED, *_DROPPED}
    if isinstance(node.get("additionalProperties"), dict):
        unknown.add("additionalProperties with a schema")
    if unknown:
        raise InvariantError(
            f"{node.get('title', 'schema')}: the generator knows no keyword "
            f"{', '.join(sorted(unknown))}; teach it in distillery/crd/structural.py"
        )


def _described(node: Schema) -> Schema:
    text = " ".join(str(node.get("description", "")).partition("\n\n")[0].split())
    return {"description": text.replace("``", "`")} if text else {}


def _bounds(node: Schema) -> Schema:
    bounds = {key: node[key] for key in _COPIED if key in node}
    if "const" in node:
        bounds["enum"] = [node["const"]]
    for side in ("Minimum", "Maximum"):
        if f"exclusive{side}" in node:
            bounds |= {side.lower(): node[f"exclusive{side}"], f"exclusive{side}": True}
    return bounds


def _with_default(schema: Schema, default: Any) -> Schema:
    """``schema`` with its default, where that says something: nothing, empty text and empty lists
    are the same as a field left away."""
    if default is None or default in ("", []) or "x-kubernetes-preserve-unknown-fields" in schema:
        return schema
    if schema["type"] == "object":
        return {**schema, "default": default}
    description = schema.get("description", "")
    if description and "Default" not in description:
        description += f"{'' if description.endswith('.') else '.'} Default: {_shown(default)}."
    return {**schema, **({"description": description} if description else {}), "default": default}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
