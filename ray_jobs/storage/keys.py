"""Keys: relative, ``/``-separated names below a storage's root. No storage is touched here."""

from distillery.errors import InvariantError

TEMP_FOLDER = ".distillery-tmp"
"""Where ``local.py`` keeps unfinished files, below its root. No key starts with it."""


def check_key(key: str) -> str:
    """Returns ``key`` if it names one object on every kind of storage.

    Raises:
        InvariantError: Keys are made by this project's code, so a bad one is a bug.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or parts[0] == TEMP_FOLDER or "\0" in key:
        raise InvariantError(
            f"storage key: must be relative without empty, '.' or '..' parts, got {key[:100]!r}"
        )
    return key


def join_key(prefix: str, name: str) -> str:
    """``name`` below ``prefix``; an empty prefix is the root."""
    return f"{prefix}/{name}" if prefix else name
