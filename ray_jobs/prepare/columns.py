"""One raw row's values by the job's mapping: messages or columns, gold, group. Still unchecked.

Names are dotted into nested values (``question.stem``); a part that is a number picks from a list
(``lSolutions.0``). What a task makes of the values is ``rows.py``'s.
"""

import json
from collections.abc import Mapping
from typing import Any

from distillery.errors import SpecError
from distillery.spec.dataset import Fields
from ray_jobs.records import Message
from ray_jobs.tasks.base import Choice, Columns

MESSAGES = "messages"
MISSING_COLUMN = "ColumnMissing"
BAD_VALUE = "BadValue"
_TEXT_COLUMNS = ("user", "premise", "hypothesis", "question")
_MAX_LIST_CHARS = 120


def read_messages(values: Mapping[str, Any], fields: Fields) -> tuple[Message, ...] | None:
    """The row's chat; None where the job maps columns instead.

    Raises:
        SpecError: ``ColumnMissing``, ``BadValue``.
    """
    if not fields.messages and _mapped_columns(fields):
        return None
    name = fields.messages or MESSAGES
    return _to_messages(name, _look_up(values, name))


def read_columns(values: Mapping[str, Any], fields: Fields) -> Columns:
    """The mapped columns, others empty. Raises ``SpecError``: ``ColumnMissing``, ``BadValue``."""
    texts = {
        column: _to_text(name, _look_up(values, name))
        for column in _TEXT_COLUMNS
        if (name := getattr(fields, column))
    }
    choices: tuple[Choice, ...] = ()
    if fields.choices:
        choices = _to_choices(fields.choices, _look_up(values, fields.choices))
    return Columns(**texts, choices=choices)


def read_text(values: Mapping[str, Any], name: str) -> str:
    """Column ``name`` as text; empty where no column is named, or it holds nothing.

    Raises:
        SpecError: ``ColumnMissing``, ``BadValue``.
    """
    return _to_text(name, _look_up(values, name)).strip() if name else ""


def _mapped_columns(fields: Fields) -> list[str]:
    return [name for name in (*_TEXT_COLUMNS, "choices") if getattr(fields, name)]


def _look_up(values: Mapping[str, Any], name: str) -> Any:
    if name in values:
        return values[name]
    node: Any = values
    for part in name.split("."):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            have = ", ".join(str(key) for key in values)[:_MAX_LIST_CHARS]
            raise SpecError(
                f"no column {name[:60]!r}, got {have}; map the right one with dataset fields",
                reason=MISSING_COLUMN,
            )
    return node


def _to_text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _bad(name, f"must be text or a number, got {type(value).__name__}", "name its inner key")


def _to_messages(name: str, value: Any) -> tuple[Message, ...]:
    turns = _parse_cell(name, value)
    if not isinstance(turns, list) or not turns:
        raise _bad(name, f"must be a list of messages, got {_kind(turns)}", "see the chat format")
    messages = []
    for index, turn in enumerate(turns):
        place = f"{name}[{index}]"
        if not isinstance(turn, Mapping):
            raise _bad(place, f"must be an object, got {_kind(turn)}", "give role and content")
        for key in ("role", "content"):
            if not isinstance(turn.get(key), str):
                raise _bad(f"{place}.{key}", f"must be text, got {_kind(turn.get(key))}", "mend it")
        messages.append(Message(role=turn["role"], content=turn["content"]))
    return tuple(messages)


def _to_choices(name: str, value: Any) -> tuple[Choice, ...]:
    """A list of texts, a list of label and text, or (as on the hub) an object of two lists."""
    items = _parse_cell(name, value)
    if isinstance(items, Mapping) and isinstance(items.get("text"), list):
        labels = items.get("label") or [""] * len(items["text"])
        if not isinstance(labels, list) or len(labels) != len(items["text"]):
            raise _bad(name, "must have as many labels as texts, got others", "mend the row")
        items = [
            {"label": label, "text": text}
            for label, text in zip(labels, items["text"], strict=True)
        ]
    if not isinstance(items, list):
        raise _bad(name, f"must be a list of choices, got {_kind(items)}", "give texts in a list")
    choices = []
    for index, item in enumerate(items):
        place = f"{name}[{index}]"
        if isinstance(item, Mapping):
            label, text = (_to_text(f"{place}.{key}", item.get(key)) for key in ("label", "text"))
            choices.append(Choice(label=label, text=text))
        else:
            choices.append(Choice(label="", text=_to_text(place, item)))
    return tuple(choices)


def _parse_cell(name: str, value: Any) -> Any:
    """A structured value as it is; one in a cell of CSV or TSV stands there as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise _bad(name, f"must be JSON in a cell, got {error.msg!r}", "mend the cell") from error


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"an empty {type(value).__name__}" if value in ([], {}, "") else type(value).__name__


def _bad(place: str, problem: str, way_out: str) -> SpecError:
    return SpecError(f"{place[:60]}: {problem}; {way_out}", reason=BAD_VALUE)
