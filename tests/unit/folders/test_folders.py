"""A folder copied from one machine to another, file by file."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.errors import ExternalError
from ray_jobs.folders import FolderFile, FolderReader, copy_folder

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 100, "sub/empty": b""}


class LocalSource:
    """Reads a folder of this machine in small pieces; ``fails_at`` cuts a file."""

    def __init__(self, folder: Path, *, fails_at: str = "") -> None:
        self._reader = FolderReader(str(folder))
        self._fails_at = fails_at
        self.read_files: list[str] = []

    def list_files(self) -> list[FolderFile]:
        return self._reader.list_files()

    def read(self, file: FolderFile) -> Iterator[bytes]:
        self.read_files.append(file.path)
        for offset in range(0, file.size_bytes, 64):
            yield self._reader.read(file.path, offset, 64)
            if file.path == self._fails_at:
                return


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "driver" / "model"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "link.json").symlink_to(folder / "config.json")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_copy_has_all_files_and_what_links_lead_to(origin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engine" / "deep" / "model"
    assert copy_folder(LocalSource(origin), folder)
    assert content(folder) == FILES | {"link.json": b"{}"}
    assert not (folder / "link.json").is_symlink()


def test_a_folder_that_is_here_is_left_alone(origin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engine" / "model"
    folder.mkdir(parents=True)
    source = LocalSource(origin)
    assert not copy_folder(source, folder)
    assert (content(folder), source.read_files) == ({}, [])


def test_a_copy_that_was_cut_is_not_taken_for_whole_and_goes_on(
    origin: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "engine" / "model"
    with pytest.raises(
        ExternalError,
        match=r"the driver's machine must give this folder, got fewer bytes than there are; see",
    ) as caught:
        copy_folder(LocalSource(origin, fails_at="model.safetensors"), folder)
    assert caught.value.reason == "FolderUnreachable"
    assert not folder.exists()

    source = LocalSource(origin)
    assert copy_folder(source, folder)
    assert source.read_files == ["model.safetensors", "sub/empty"]
    assert content(folder) == FILES | {"link.json": b"{}"}


def test_of_several_engines_of_a_machine_one_copies(origin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engine" / "model"
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(copy_folder(LocalSource(origin), folder)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [False, False, False, True]
    assert content(folder) == FILES | {"link.json": b"{}"}


def test_a_folder_that_is_nowhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match="gone: no such object; check the name"):
        copy_folder(LocalSource(tmp_path / "gone"), tmp_path / "engine" / "gone")
    assert not (tmp_path / "engine" / "gone").exists()
    with pytest.raises(ExternalError, match="no such object"):
        FolderReader(str(tmp_path / "gone")).read("config.json", 0, 1)
