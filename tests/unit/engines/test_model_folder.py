"""What is said of a model folder before a library loads it."""

import json
import struct
from pathlib import Path

import pytest

from distillery.errors import SpecError
from ray_jobs.engines.model_folder import (
    check_adapter_folder,
    check_model_folder,
    resolve_dtype,
    resolve_max_model_len,
)

CONFIG = {"model_type": "llama", "max_position_embeddings": 256, "dtype": "float32"}


def safetensors_bytes(num_data_bytes: int = 8, *, promised: int = 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, promised]}})
    return struct.pack("<Q", len(header)) + header.encode() + b"\0" * num_data_bytes


def make_folder(folder: Path, files: dict[str, bytes | str]) -> Path:
    contents: dict[str, bytes | str] = {
        "config.json": json.dumps(CONFIG),
        "model.safetensors": safetensors_bytes(),
    }
    for name, content in (contents | files).items():
        data = content.encode() if isinstance(content, str) else content
        if data:
            (folder / name).write_bytes(data)
    return folder


def test_a_sound_folder_gives_its_config(tmp_path: Path) -> None:
    assert check_model_folder(make_folder(tmp_path, {})) == CONFIG


def test_an_index_names_the_weight_files(tmp_path: Path) -> None:
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    make_folder(
        tmp_path,
        {"model.safetensors.index.json": index, "one.safetensors": safetensors_bytes()},
    )
    with pytest.raises(SpecError, match=r"two.safetensors: .* got no readable file .*; check"):
        check_model_folder(tmp_path)
    (tmp_path / "two.safetensors").write_bytes(safetensors_bytes())
    assert check_model_folder(tmp_path) == CONFIG


@pytest.mark.parametrize(
    ("files", "want"),
    [
        ({"config.json": ""}, r"config.json: .* got no readable file \(No such file"),
        ({"config.json": "{"}, "config.json: .* got text that is no JSON; copy the model"),
        ({"config.json": "[]"}, "config.json: .* got a JSON list; copy the model"),
        ({"config.json": "{}"}, "config.json: .* got no model_type; use a transformers model"),
        ({"model.safetensors": ""}, r"got no \*.safetensors there; convert the weights"),
        ({"model.safetensors": b"abc"}, "got a file cut at 3 bytes; copy"),
        ({"model.safetensors": safetensors_bytes()[:20]}, "got a file cut at 20 bytes; copy"),
        ({"model.safetensors": safetensors_bytes(5)}, r"got a file cut at \d+ of \d+ bytes; copy"),
        (
            {"model.safetensors": struct.pack("<Q", 4) + b"weights"},
            "got no safetensors header; copy",
        ),
    ],
    ids=[
        "no config",
        "cut config",
        "list",
        "no type",
        "no weights",
        "no header",
        "cut header",
        "cut data",
        "other format",
    ],
)
def test_an_unsound_folder_is_unreadable(
    tmp_path: Path, files: dict[str, bytes | str], want: str
) -> None:
    with pytest.raises(SpecError, match=want) as e:
        check_model_folder(make_folder(tmp_path, files))
    assert e.value.reason == "ModelUnreadable"


def test_no_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="readable model is needed, got no such folder; check"):
        check_model_folder(tmp_path / "nowhere")


def test_an_adapter_folder_needs_config_and_weights(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"adapter_config.json: .* got no readable file"):
        check_adapter_folder(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    with pytest.raises(SpecError, match=r"adapter_model.safetensors: .* got no readable file"):
        check_adapter_folder(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(safetensors_bytes())
    assert check_adapter_folder(tmp_path) == {"r": 8}


@pytest.mark.parametrize(
    ("config", "wanted", "want"),
    [
        (CONFIG, None, 256),
        (CONFIG, 100, 100),
        (CONFIG, 256, 256),
        ({}, 100, 100),
        ({"text_config": {"max_position_embeddings": 64}}, None, 64),
    ],
)
def test_the_window_is_what_is_wanted_else_the_model_s(
    config: dict[str, object], wanted: int | None, want: int
) -> None:
    assert resolve_max_model_len(config, wanted) == want


def test_a_window_that_nobody_names_or_the_model_has_not_is_refused() -> None:
    with pytest.raises(SpecError, match=r"names no max_position_embeddings, got nothing; set"):
        resolve_max_model_len({}, None)
    with pytest.raises(SpecError, match=r"must be at most the model's own 256, got 257; lower it"):
        resolve_max_model_len(CONFIG, 257)


@pytest.mark.parametrize(
    ("config", "wanted", "want"),
    [
        (CONFIG, "auto", "float32"),
        (CONFIG, "bfloat16", "bfloat16"),
        ({"torch_dtype": "float16"}, "auto", "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "auto", "bfloat16"),
        ({}, "auto", "float32"),
    ],
)
def test_auto_is_the_format_the_weights_are_kept_in(
    config: dict[str, object], wanted: str, want: str
) -> None:
    assert resolve_dtype(config, wanted) == want
