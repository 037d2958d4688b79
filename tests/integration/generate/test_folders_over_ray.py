"""A model's folder read through a real Ray, as an engine on another machine reads it."""

import os
from pathlib import Path

import pytest

from distillery.errors import ExternalError
from ray_jobs.folders import CHUNK_BYTES, bring_folder, copy_folder, driver_node, reading_from

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("ray_session")]


def test_a_folder_of_another_machine_arrives_whole(tmp_path: Path) -> None:
    origin = tmp_path / "driver"
    origin.mkdir()
    weights = os.urandom(5 * CHUNK_BYTES + 17)
    (origin / "model.safetensors").write_bytes(weights)
    (origin / "config.json").write_bytes(b"{}")
    folder = tmp_path / "engine" / "model"

    with reading_from(driver_node(), origin) as source:
        assert copy_folder(source, folder)

    assert (folder / "model.safetensors").read_bytes() == weights
    assert (folder / "config.json").read_bytes() == b"{}"


def test_a_folder_that_is_nowhere_is_told_as_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match="gone: no such object; check the name"):
        bring_folder(tmp_path / "gone", home=driver_node())


def test_a_machine_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ExternalError, match=r"the driver's machine must give this folder, got \w+; see the step's"
    ) as caught:
        bring_folder(tmp_path / "gone", home="ab" * 28)
    assert caught.value.reason == "FolderUnreachable"
