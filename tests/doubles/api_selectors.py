"""Label selectors as the API server reads them: ``a=b``, ``a!=b``, ``a in (b,c)`` and its negation,
``a``, ``!a``, joined by commas. Field selectors are not here."""

import re
from collections.abc import Callable, Mapping

from controller.kube.faults import InvalidError

Labels = Mapping[str, str]
Selector = Callable[[Labels], bool]

_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VERB = r"(?P<verb>in|notin)"  # codespell:ignore notin
_SET = re.compile(rf"(?P<key>{_KEY})\s+{_VERB}\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"(?P<key>{_KEY})\s*(?P<verb>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)")
_EXISTS = re.compile(rf"(?P<not>!?)\s*(?P<key>{_KEY})")
_COMMA = re.compile(r",(?![^(]*\))")


def parse_selector(text: str) -> Selector:
    """The test that an object's labels must pass; an empty text passes all.

    Raises: ``InvalidError`` for what is no selector.
    """
    parts = [_parse_requirement(part.strip()) for part in _COMMA.split(text)] if text else []
    return lambda labels: all(part(labels) for part in parts)


def _parse_requirement(text: str) -> Selector:
    if found := _SET.fullmatch(text):
        values = {value.strip() for value in found["values"].split(",")}
        return _in(found["key"], values, wanted=found["verb"] == "in")
    if found := _EQUAL.fullmatch(text):
        return _in(found["key"], {found["value"]}, wanted=found["verb"] != "!=")
    if found := _EXISTS.fullmatch(text):
        return _exists(found["key"], wanted=not found["not"])
    raise InvalidError(
        f"labelSelector: unable to parse requirement, got {text!r}; write a=b, a in (b,c) or a",
        reason="BadRequest",
        status_code=400,
    )


def _in(key: str, values: set[str], *, wanted: bool) -> Selector:
    return lambda labels: (key in labels and labels[key] in values) == wanted


def _exists(key: str, *, wanted: bool) -> Selector:
    return lambda labels: (key in labels) == wanted
