"""Folders go up and come back the same; a step's manifest is created once."""

from pathlib import Path

import pytest

from distillery.errors import ExternalError, InvariantError, SpecError
from distillery.manifests import Artefact
from ray_jobs.storage.artefacts import commit_manifest, download_folder, upload_folder
from ray_jobs.storage.base import Storage
from tests.contract.storage.test_storage import hex_sha256, make_bytes

FILES = {
    "adapter/config.json": b"{}\n",
    "adapter/weights.safetensors": make_bytes(300_000),
    "empty": b"",
    "notes/größe.txt": b"1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "made by a step"
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_a_folder_comes_back_as_it_was(storage: Storage, folder: Path, tmp_path: Path) -> None:
    sent: list[int] = []
    artefacts = upload_folder(storage, "jobs/a/train", folder, on_bytes=sent.append)
    assert artefacts == tuple(
        Artefact(path=name, size_bytes=len(data), sha256=hex_sha256(data))
        for name, data in sorted(FILES.items())
    )
    assert sum(sent) == sum(len(data) for data in FILES.values())
    copy = tmp_path / "copy"
    download_folder(storage, "jobs/a/train", copy, artefacts)
    got = {
        path.relative_to(copy).as_posix(): path.read_bytes()
        for path in copy.rglob("*")
        if path.is_file()
    }
    assert got == FILES


def test_a_folder_that_was_uploaded_again_replaces_its_files(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    upload_folder(storage, "p", folder)
    (folder / "empty").write_bytes(b"now full")
    artefacts = upload_folder(storage, "p", folder)
    download_folder(storage, "p", tmp_path / "copy", artefacts)
    assert (tmp_path / "copy" / "empty").read_bytes() == b"now full"


def test_a_replaced_artefact_is_refused(storage: Storage, folder: Path, tmp_path: Path) -> None:
    artefacts = upload_folder(storage, "p", folder)
    storage.put_bytes("p/adapter/config.json", b"[]\n")
    with pytest.raises(ExternalError, match=r"config\.json: content must have sha256") as caught:
        download_folder(storage, "p", tmp_path / "copy", artefacts)
    assert caught.value.reason == "ChecksumMismatch"


def test_an_artefact_outside_the_folder_is_never_written(storage: Storage, tmp_path: Path) -> None:
    artefact = Artefact(path="../evil", size_bytes=1, sha256=hex_sha256(b"x"))
    with pytest.raises(InvariantError, match="storage key: must be relative"):
        download_folder(storage, "p", tmp_path / "copy", (artefact,))


def test_what_is_no_folder_is_told(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing here: must be a folder, got something else;"):
        upload_folder(storage, "p", tmp_path / "nothing here")


def test_the_first_manifest_holds(storage: Storage) -> None:
    assert commit_manifest(storage, "p/manifest.json", b"first") is True
    assert commit_manifest(storage, "p/manifest.json", b"second") is False
    assert storage.get_bytes("p/manifest.json") == b"first"
