"""YAML files as the API server gets them from kubectl: ``2e-3`` is a number there, not text."""

import re
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""KubeRay's definitions are long: in Python alone they take seconds."""
_EXPONENT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _Loader(_BASE):  # type: ignore[misc]
    """YAML 1.1, and floats without a point."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789."))


def read_documents(path: Path) -> list[Document]:
    """All objects of a file; documents that are empty are left out."""
    found = yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Loader)
    return [document for document in found if document]


def read_document(path: Path) -> Document:
    """The one object of a file."""
    (document,) = read_documents(path)
    return document
