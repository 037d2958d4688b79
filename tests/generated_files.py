"""Writes the files that follow from the models, or says which of them are out of date.

``python -m tests.generated_files`` writes them, ``--check`` compares (exit code 1 where one
differs). Nothing here is written by hand elsewhere: edit the models' docstrings instead.
"""

import argparse
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from distillery.crd.definition import render_definition
from distillery.results import results_schema
from distillery.spec.job import DistillationJob

ROOT = Path(__file__).parents[1]

_HEAD = """# Fields of a DistillationJob

Generated from the models in `distillery/spec/` by `make generated`; don't edit. Unknown fields are
refused. Rules across fields are in `distillery/validation/`; `distillery validate FILE` names every
broken one. `[]` stands for each item of a list; what follows `(type: vllm)` exists for that type
alone. An empty default: nothing is set, and the last column says what that means.
"""
_TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One field as the reference shows it."""

    path: str
    type: str
    default: str
    bounds: str
    description: str


def build_files() -> dict[str, str]:
    """Path below the repository to content, for every generated file."""
    return {
        "manifests/schemas/results.schema.json": build_results_schema(),
        "manifests/crd/distillery.dev_distillationjobs.yaml": render_definition(),
        "docs/reference/job-fields.md": build_job_fields(),
    }


def build_results_schema() -> str:
    """The JSON schema of ``results.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **results_schema()}
    return json.dumps(_without_titles(schema), indent=2) + "\n"


def build_job_fields() -> str:
    """The tables of every field of the job: the resource, then each part of ``spec``."""
    rows = job_rows()
    sections: dict[str, list[Row]] = {"": []}
    for row in rows:
        part = ".".join(row.path.split(".")[:2]).partition("[]")[0]
        has_fields = any(other.path.startswith((f"{part}.", f"{part}[]")) for other in rows)
        name = part if part.startswith("spec.") and has_fields else ""
        sections.setdefault(name, []).append(row)
    return _HEAD + "".join(_section(name, found) for name, found in sections.items())


def job_rows() -> list[Row]:
    """Every field, parents before their children, in the models' order; what a model holds stands
    where it is first used."""
    return list(_rows(DistillationJob, prefix="", seen={}))


def find_stale(files: Mapping[str, str], root: Path) -> list[str]:
    """The paths whose content on disk is another one, or that are missing."""
    return [path for path, text in files.items() if _read(root / path) != text]


def write_files(files: Mapping[str, str], root: Path) -> None:
    """Writes them all."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Exit code: 0, or 1 where ``--check`` finds a file out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    files = build_files()
    if not parser.parse_args(argv).check:
        write_files(files, root)
        return 0
    stale = find_stale(files, root)
    for path in stale:
        sys.stderr.write(f"{path}: is out of date; run make generated\n")
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _rows(
    model: type[BaseModel], *, prefix: str, seen: dict[type[BaseModel], str]
) -> Iterator[Row]:
    """``seen``: where each model stands already; filled in."""
    for name, field in model.model_fields.items():
        if prefix.endswith(").") and name == "type":
            continue
        path = f"{prefix}{field.alias or name}"
        models, is_list = _models_in(field.annotation)
        known = next((seen[each] for each in models if each in seen), "")
        description = _describe(field, models)
        yield Row(
            path=path,
            type=_type_name(field.annotation),
            default=_default(field),
            bounds=_all_bounds(field),
            description=f"{description} Its fields are those of `{known}`."
            if known
            else description,
        )
        if known:
            continue
        seen |= dict.fromkeys(models, path)
        inside = f"{path}{'[]' if is_list else ''}"
        for each in models:
            tag = f"(type: {_tag(each)})." if len(models) > 1 else ""
            yield from _rows(each, prefix=f"{inside}{tag or '.'}", seen=seen)


def _models_in(annotation: Any) -> tuple[list[type[BaseModel]], bool]:
    """The models a field holds, and whether it is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation], False
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return _models_in(arguments[0])[0], True
    if origin in (typing.Union, types.UnionType):
        return [model for item in arguments for model in _models_in(item)[0]], False
    if origin is Annotated:
        return _models_in(arguments[0])
    return [], False


def _tag(model: type[BaseModel]) -> str:
    return str(model.model_fields["type"].default)


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return "mapping" if arguments[1] is Any else "mapping of text to text"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        models, _ = _models_in(annotation)
        if len(models) > 1:
            return "one of " + ", ".join(f"`type: {_tag(model)}`" for model in models)
        return _type_name(next(item for item in arguments if item is not type(None)))
    if issubclass(annotation, StrEnum):
        return ", ".join(f"`{value}`" for value in annotation)
    return "mapping" if issubclass(annotation, BaseModel) else _TYPES[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None:
        return ""
    if isinstance(value, BaseModel):
        changed = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        tag = getattr(value, "type", None)
        return f"`type: {tag}`" if tag and not changed else ""
    return f"`{json.dumps(value)}`" if value not in ((), {}, "") else ""


_BOUNDS = (
    ("ge", "at least {}"),
    ("gt", "above {}"),
    ("le", "at most {}"),
    ("lt", "below {}"),
    ("min_length", "at least {} {}"),
    ("max_length", "at most {} {}"),
    ("pattern", "matches `{}`"),
)


def _all_bounds(field: FieldInfo) -> str:
    """The field's own bounds, then those of a list's items."""
    if typing.get_origin(field.annotation) is not tuple:
        return ", ".join(_bounds(field.metadata, unit="characters"))
    item = typing.get_args(field.annotation)[0]
    infos = [each for each in typing.get_args(item) if isinstance(each, FieldInfo)]
    of_items = [bound for info in infos for bound in _bounds(info.metadata, unit="characters")]
    own = ", ".join(_bounds(field.metadata, unit="items"))
    return f"{own}; each {', '.join(of_items)}" if of_items else own


def _bounds(metadata: Sequence[Any], *, unit: str) -> list[str]:
    return [
        wording.format(
            f"{value:,}" if isinstance(value, int) else value, unit if value != 1 else unit[:-1]
        )
        for name, wording in _BOUNDS
        for constraint in metadata
        if (value := getattr(constraint, name, None)) is not None
    ]


def _describe(field: FieldInfo, models: Sequence[type[BaseModel]]) -> str:
    """The field's docstring; without one, those of the models or of the words it accepts."""
    text = field.description or ""
    if not text and len(models) > 1:
        text = " ".join(f"`{_tag(model)}`: {_summary(model)}" for model in models)
    elif not text:
        text = " ".join(_summary(kind) for kind in (*models, *_enums_in(field.annotation)))
    return " ".join(text.replace("``", "`").split())


def _summary(kind: type[Any]) -> str:
    return (kind.__doc__ or "").partition("\n\n")[0]


def _enums_in(annotation: Any) -> list[type[StrEnum]]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [annotation]
    return [kind for item in typing.get_args(annotation) for kind in _enums_in(item)]


def _section(name: str, rows: Sequence[Row]) -> str:
    title = f"`{name}`" if name else "The resource"
    lines = [
        f"\n## {title}\n",
        "| field | type | default | bounds | what it says |",
        "|---|---|---|---|---|",
        *(
            f"| `{row.path}` | {_cell(row.type)} | {_cell(row.default)} | {_cell(row.bounds)} "
            f"| {_cell(row.description)} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _without_titles(node: Any) -> Any:
    """The schema without the titles pydantic makes of names."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
