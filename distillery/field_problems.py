"""Words for what is wrong with a single field: pydantic's errors in the project's wording.

Its neighbour ``loading.py`` finds the errors; rules across fields are ``validation/``.
"""

import difflib
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from distillery.errors import Problem
from distillery.spec.job import DistillationJob

Location = tuple[str | int, ...]

# Fields the design names and no code carries out yet: refused in words of their own, so that
# nobody looks for a typing mistake.
NOT_YET = {
    "judge",
    "pipelineParallel",
    "shareTeacher",
    "baseUrl",
}
_NOT_YET_VALUES = {"openai"}
_NAME_RULE = "lower-case letters, digits and '-', starting with a letter"

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
}


def find_field_problems(
    error: ValidationError, document: Mapping[str, Any]
) -> tuple[list[Problem], list[Location]]:
    """All problems of ``error`` in order, and where in ``document`` each faulty field stands."""
    problems, faults = [], []
    for details in _without_consequences(error.errors()):
        location = _document_location(details, document)
        problems.append(
            Problem(path=_path(location), message=_message(details, location, document))
        )
        faults.append(location[:-1] if details["type"].startswith("union_tag") else location)
    return problems, faults


def _without_consequences(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """``errors`` without those of a list that is too short only for its faulty items."""
    return [
        details
        for details in errors
        if details["type"] != "too_short"
        or not any(
            other is not details and other["loc"][: len(details["loc"])] == details["loc"]
            for other in errors
        )
    ]


def _document_location(details: ErrorDetails, document: Mapping[str, Any]) -> Location:
    """The error's place as the user wrote it: without the tags pydantic adds for unions."""
    node: Any = document
    parts: list[str | int] = []
    for part in details["loc"]:
        if isinstance(node, Mapping) and part not in node and node.get("type") == part:
            continue
        parts.append(part)
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
    if details["type"].startswith("union_tag"):
        parts.append("type")
    return tuple(parts)


def _path(location: Location) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".") or "job"


def _message(details: ErrorDetails, location: Location, document: Mapping[str, Any]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(location, document)
    if kind == "missing":
        return "is missing; add it"
    if kind == "union_tag_not_found":
        return f"is missing; accepted are {_accepted_tags(location, document)}"
    got = _shown(details["input"])
    if kind == "union_tag_invalid":
        tag = str(context.get("tag"))
        wrong = (
            "is not supported yet" if tag in _NOT_YET_VALUES else "must be one of those accepted"
        )
        return f"{wrong}, got '{tag}'; accepted are {_accepted_tags(location, document)}"
    if kind == "string_pattern_mismatch" and location[-1] in ("name", "namespace"):
        return f"is no legal name, got {got}; use {_NAME_RULE}"
    for suffix in ("_type", "_parsing", "_from_float"):
        if kind.endswith(suffix) and kind.removesuffix(suffix) in _TYPES:
            return f"must be {_TYPES[kind.removesuffix(suffix)]}, got {got}"
    if kind in _BOUNDS:
        return f"{_BOUNDS[kind](context)}, got {got}"
    return f"{details['msg'][:1].lower()}{details['msg'][1:120]}, got {got}"


_BOUNDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "greater_than": lambda context: f"must be above {context['gt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "less_than": lambda context: f"must be below {context['lt']}",
    "too_short": lambda context: f"must have at least {context['min_length']} items",
    "too_long": lambda context: f"must have at most {context['max_length']} items",
    "string_too_short": lambda context: f"must have at least {context['min_length']} characters",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
    "enum": lambda context: f"must be one of {context['expected']}",
    "literal_error": lambda context: f"must be {context['expected']}",
    "model_type": lambda _: "must be a mapping",
}


def _unknown_field(location: Location, document: Mapping[str, Any]) -> str:
    name = str(location[-1])
    fields = sorted(_fields_at(location[:-1], document))
    if name in NOT_YET:
        return "is not supported yet; remove it"
    close = difflib.get_close_matches(name, fields, n=1)
    way_out = f"did you mean {close[0]}" if close else f"accepted are {', '.join(fields)}"
    return f"is no known field; {way_out}"[:200]


def _accepted_tags(location: Location, document: Mapping[str, Any]) -> str:
    models = _models_at(location[:-1], document)
    tags = [
        str(tag)
        for model in models
        for tag in typing.get_args(model.model_fields["type"].annotation)
    ]
    return ", ".join(tags)


def _fields_at(location: Location, document: Mapping[str, Any]) -> set[str]:
    return {
        field.alias or name
        for model in _models_at(location, document)
        for name, field in model.model_fields.items()
    }


def _models_at(location: Location, document: Mapping[str, Any]) -> list[type[BaseModel]]:
    """The model, or the union's models, that stand at ``location``."""
    models: list[type[BaseModel]] = [DistillationJob]
    node: Any = document
    for part in location:
        node = node[part] if isinstance(node, Mapping) or isinstance(part, int) else None
        if isinstance(part, str):
            annotations = [
                field.annotation
                for model in models
                for name, field in model.model_fields.items()
                if part in (name, field.alias)
            ]
            models = [model for annotation in annotations for model in _models_in(annotation)]
        tag = node.get("type") if isinstance(node, Mapping) else None
        tagged = [
            m for m in models if "type" in m.model_fields and m.model_fields["type"].default == tag
        ]
        models = tagged or models
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (
        tuple,
        list,
        typing.Union,
        types.UnionType,
        typing.Annotated,
    ):
        return [model for item in typing.get_args(annotation) for model in _models_in(item)]
    return []


def _shown(value: Any) -> str:
    """A value for a message: short, on one line."""
    shown = json.dumps(value, default=str, ensure_ascii=False)
    text = f"'{value}'" if isinstance(value, str) else shown
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
