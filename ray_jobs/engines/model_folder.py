"""Looks at a model folder before a library loads it, so that a broken one is named plainly.

Libraries answer a broken folder with anything from ``KeyError`` to a core dump; this reads the
config, and the header of every weight file, in milliseconds.
"""

import json
import struct
from pathlib import Path
from typing import Any

from distillery.errors import SpecError

_INDEX = "model.safetensors.index.json"
_HEADER_BYTES = 8
"""A safetensors file begins with its header's length, little endian."""


def check_model_folder(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``, if a model can be loaded from there.

    Raises:
        SpecError: ``ModelUnreadable``: no folder, no or broken config, missing or cut weights.
    """
    if not folder.is_dir():
        raise _unreadable(folder, "no such folder", "check the path")
    config = read_model_config(folder)
    for weights in _weight_files(folder):
        _check_safetensors(weights)
    return config


def read_model_config(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``. Raises ``SpecError``: ``ModelUnreadable``."""
    config = _read_json(folder / "config.json")
    if not config.get("model_type"):
        raise _unreadable(folder / "config.json", "no model_type", "use a transformers model")
    return config


def check_adapter_folder(folder: Path) -> dict[str, Any]:
    """The folder's ``adapter_config.json``, if a LoRA adapter can be loaded from there.

    Raises:
        SpecError: ``ModelUnreadable``.
    """
    config = _read_json(folder / "adapter_config.json")
    _check_safetensors(folder / "adapter_model.safetensors")
    return config


def resolve_max_model_len(config: dict[str, Any], wanted: int | None) -> int:
    """Longest prompt plus answer in tokens: what is wanted, else what the config says.

    Raises:
        SpecError: ``InvalidSpec`` above the config's, or where neither says anything.
    """
    text_config = config.get("text_config") or config
    own: int | None = text_config.get("max_position_embeddings")
    if wanted is None and own is None:
        raise SpecError(
            "engine.maxModelLen: the model's config names no max_position_embeddings, got nothing; "
            "set maxModelLen"
        )
    if wanted is not None and own is not None and wanted > own:
        raise SpecError(
            f"engine.maxModelLen: must be at most the model's own {own}, got {wanted}; lower it"
        )
    return wanted or own or 0


def resolve_dtype(config: dict[str, Any], wanted: str) -> str:
    """The number format to load in: ``auto`` is the one the weights are kept in.

    vLLM's own ``auto`` would halve float32 weights without a word.
    """
    if wanted != "auto":
        return wanted
    text_config = config.get("text_config") or {}
    names = (config.get("dtype"), config.get("torch_dtype"), text_config.get("dtype"))
    return next((str(name) for name in names if name), "float32")


def _weight_files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.exists():
        names = set(_read_json(index).get("weight_map", {}).values())
        return [folder / str(name) for name in sorted(names)]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise _unreadable(
            folder, "no *.safetensors there", "convert the weights with save_pretrained"
        )
    return files


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, f"no readable file ({error.strerror})", "check the path") from error
    except ValueError as error:
        raise _unreadable(path, "text that is no JSON", "copy the model again") from error
    if not isinstance(document, dict):
        raise _unreadable(path, f"a JSON {type(document).__name__}", "copy the model again")
    return document


def _check_safetensors(path: Path) -> None:
    """Reads the header only: its length, its JSON, and whether the file holds all it promises."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(_HEADER_BYTES)
            length = struct.unpack("<Q", start)[0] if len(start) == _HEADER_BYTES else size
            if _HEADER_BYTES + length > size:
                raise _unreadable(path, f"a file cut at {size} bytes", "copy the model again")
            header = json.loads(file.read(length))
    except OSError as error:
        raise _unreadable(path, f"no readable file ({error.strerror})", "check the path") from error
    except ValueError as error:
        raise _unreadable(path, "no safetensors header", "copy the model again") from error
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    promised = _HEADER_BYTES + length + max(ends, default=0)
    if promised > size:
        raise _unreadable(path, f"a file cut at {size} of {promised} bytes", "copy the model again")


def _unreadable(path: Path, got: str, way_out: str) -> SpecError:
    shown = str(path)[-120:]
    return SpecError(
        f"{shown}: a readable model is needed, got {got}; {way_out}", reason="ModelUnreadable"
    )
