"""Models pinned and fetched: what changes a digest, and what is said of a broken model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from distillery.errors import SpecError
from distillery.spec.teacher import ModelRef
from distillery.stage_configs import PinnedModel
from ray_jobs.models import fetch_model, pin_model
from tests.models import make_tiny_tokenizer
from tests.rows import local_storage

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="session")
def template_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with all that pinning reads: config, tokenizer, weights of 3 MiB."""
    folder = make_tiny_tokenizer(tmp_path_factory.mktemp("model"))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"weight": np.zeros(3 << 18, dtype=np.float32)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def model(template_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template_model, tmp_path / "model")


def pin(folder: Path, tmp_path: Path, *, date: str = "") -> PinnedModel:
    ref = ModelRef(uri=folder.as_uri(), date=date)
    return pin_model(ref, local_storage(tmp_path / "store"), tmp_path / "cache")


def test_same_files_give_the_same_pin_wherever_they_lie(model: Path, tmp_path: Path) -> None:
    one = pin(model, tmp_path)
    copy = pin(shutil.copytree(model, tmp_path / "copy"), tmp_path)

    assert (one.digest, one.template_hash) == (copy.digest, copy.template_hash)
    assert one.uri != copy.uri
    assert one.revision == ""


def test_template_hash_is_the_renderers_own(model: Path, tmp_path: Path) -> None:
    from ray_jobs.rendering import Renderer

    first, again = pin(model, tmp_path), pin(model, tmp_path)

    assert first == again
    assert first.template_hash == Renderer.from_folder(model).template_hash


def test_template_that_changed_is_not_taken_from_the_cache(model: Path, tmp_path: Path) -> None:
    before = pin(model, tmp_path)
    template = model / "chat_template.jinja"
    template.write_text(template.read_text() + "{# another #}")

    after = pin(model, tmp_path)

    assert before.template_hash != after.template_hash


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"]
)
def test_changed_file_changes_the_digest(model: Path, tmp_path: Path, name: str) -> None:
    before = pin(model, tmp_path)
    path = model / name
    content = path.read_bytes()
    # A change that leaves every format readable: white space, or the last weight.
    path.write_bytes(content[:-1] + b"\x01" if name.endswith(".safetensors") else content + b"\n")

    assert pin(model, tmp_path).digest != before.digest


def test_files_that_are_no_part_of_the_model_change_nothing(model: Path, tmp_path: Path) -> None:
    before = pin(model, tmp_path)
    (model / "README.md").write_text("about")
    (model / "original").mkdir()
    (model / "original" / "params.json").write_text("{}")

    assert pin(model, tmp_path) == before


def test_local_model_is_used_where_it_is(model: Path, tmp_path: Path) -> None:
    pinned = pin(model, tmp_path)

    assert fetch_model(pinned, local_storage(tmp_path), tmp_path / "cache") == model


def test_model_that_changed_after_it_was_pinned_is_refused(model: Path, tmp_path: Path) -> None:
    pinned = pin(model, tmp_path)
    (model / "config.json").write_text(json.dumps({"model_type": "qwen2"}))

    with pytest.raises(
        SpecError, match=r"the model must stay as it was pinned \([0-9a-f]{12}\), got [0-9a-f]{12}"
    ) as caught:
        fetch_model(pinned, local_storage(tmp_path), tmp_path / "cache")

    assert caught.value.reason == "ModelChanged"


@pytest.mark.parametrize(
    ("lost", "want"),
    [
        pytest.param(
            "config.json",
            "config.json: a readable model is needed, got no readable file "
            "(No such file or directory); check the path",
            id="config",
        ),
        pytest.param(
            "model.safetensors",
            "a readable model is needed, got no *.safetensors there; "
            "convert the weights with save_pretrained",
            id="weights",
        ),
        pytest.param("tokenizer.json", "no readable tokenizer, got ", id="tokenizer"),
    ],
)
def test_incomplete_folder_is_refused(model: Path, tmp_path: Path, lost: str, want: str) -> None:
    (model / lost).unlink()
    if lost == "tokenizer.json":
        (model / "tokenizer_config.json").unlink()

    with pytest.raises(SpecError) as caught:
        pin(model, tmp_path)

    assert caught.value.reason == "ModelUnreadable"
    assert want in caught.value.message


def test_missing_folder_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone: a readable model is needed, got no such folder"):
        pin(tmp_path / "gone", tmp_path)


def test_unknown_scheme_is_refused(tmp_path: Path) -> None:
    ref = ModelRef(uri="https://host/model")

    with pytest.raises(SpecError, match=r"got scheme 'https'; use file:///folder, s3://"):
        pin_model(ref, local_storage(tmp_path), tmp_path / "cache")
