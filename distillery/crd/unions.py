"""Unions told apart by a tag, as one object: what is one member's alone is guarded by CEL.

A structural schema has no ``oneOf`` of objects. So the object has the fields of all members, and
rules that refuse a field of another member and require the member's own.
"""

from collections.abc import Mapping

from distillery.crd.places import Schema
from distillery.crd.rules import Rule, attach_rule
from distillery.errors import InvariantError


def flatten_union(members: Mapping[str, Schema], *, tag: str, description: str) -> Schema:
    """One object that accepts what one of ``members`` accepts.

    Args:
        members: The members' structural schemas by the tag's value.
        tag: The name of the field that tells them apart; it must be given.
        description: Of the field; without one the members' are put together.
    """
    flat: Schema = {
        "description": description or _all_descriptions(members),
        "type": "object",
        "properties": {tag: _tag_field(members, tag)},
        "required": [tag],
    }
    for name in dict.fromkeys(name for member in members.values() for name in member["properties"]):
        if name == tag:
            continue
        owners = {
            value: member for value, member in members.items() if name in member["properties"]
        }
        fields = {value: member["properties"][name] for value, member in owners.items()}
        if len(owners) == len(members):
            flat["properties"][name] = _common_field(name, fields)
        else:
            flat["properties"][name] = _own_field(name, fields)
            attach_rule(flat, _refuse_elsewhere(name, owners, tag))
        _require(flat, name, owners, tag=tag, is_common=len(owners) == len(members))
    return flat


def _all_descriptions(members: Mapping[str, Schema]) -> str:
    return " ".join(f"`{value}`: {member['description']}" for value, member in members.items())


def _tag_field(members: Mapping[str, Schema], tag: str) -> Schema:
    described = [member["properties"][tag].get("description", "") for member in members.values()]
    return {
        "description": described[0] or f"Which kind this is: {' or '.join(members)}.",
        "type": "string",
        "enum": list(members),
    }


def _common_field(name: str, fields: Mapping[str, Schema]) -> Schema:
    """The field all members have. Its bounds must be the same in each."""
    first, *others = fields.values()
    if any(other != first for other in others):
        raise InvariantError(
            f"{name}: must be the same in each member of a union, got different forms in "
            f"{', '.join(fields)}; give the field of one of them another name"
        )
    return first


def _own_field(name: str, fields: Mapping[str, Schema]) -> Schema:
    """A field of some members: without a default, which would be filled in for the others too."""
    field = _common_field(name, fields)
    words = f"Type {' or '.join(fields)} only. {field.get('description', '')}".strip()
    kept = {key: value for key, value in field.items() if key not in ("default", "description")}
    return {"description": words, **kept} if field.get("description") else kept


def _refuse_elsewhere(name: str, owners: Mapping[str, Schema], tag: str) -> Rule:
    is_owner = " || ".join(f"self.{tag} == '{value}'" for value in owners)
    return Rule(
        expression=f"!has(self.{name}) || {is_owner}",
        message_expression=f"'is for {tag} {' or '.join(owners)} only, got {tag} %s; remove it'"
        f".format([self.{tag}])",
        field=f".{name}",
    )


def _require(
    flat: Schema, name: str, owners: Mapping[str, Schema], *, tag: str, is_common: bool
) -> None:
    needing = [value for value, member in owners.items() if name in member.get("required", ())]
    if is_common and len(needing) == len(owners):
        flat["required"].append(name)
        return
    for value in needing:
        message = f"is missing and {tag} {value} needs it, got none; add it"
        attach_rule(
            flat,
            Rule(
                expression=f"self.{tag} != '{value}' || has(self.{name})",
                message=message,
                field=f".{name}",
            ),
        )
