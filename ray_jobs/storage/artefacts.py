"""Whole folders to storage and back, checked by SHA-256, and the manifest that ends a step."""

from pathlib import Path

from distillery.errors import InvariantError, SpecError, word
from distillery.manifests import Artefact
from ray_jobs.storage.base import OnBytes, Storage
from ray_jobs.storage.faults import os_faults
from ray_jobs.storage.keys import check_key, join_key


def upload_folder(
    storage: Storage, prefix: str, folder: Path, *, on_bytes: OnBytes | None = None
) -> tuple[Artefact, ...]:
    """Uploads every file below ``folder`` to ``prefix``, replacing what is there.

    Returns:
        An artefact a file, in the order of their paths relative to ``folder``.

    Raises:
        SpecError: ``folder`` is no folder.
    """
    with os_faults(str(folder)):
        if not folder.is_dir():
            raise SpecError(
                word(str(folder), "must be a folder, got something else; name an existing folder")
            )
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        _upload(storage, prefix, path, name=path.relative_to(folder).as_posix(), on_bytes=on_bytes)
        for path in paths
    )


def download_folder(
    storage: Storage,
    prefix: str,
    folder: Path,
    artefacts: tuple[Artefact, ...],
    *,
    on_bytes: OnBytes | None = None,
) -> None:
    """Downloads ``artefacts`` from ``prefix`` into ``folder``, each compared with its SHA-256.

    Files which ``folder`` holds besides them stay.

    Raises:
        ExternalError: As ``Storage.get_file``; a file that fails is not left behind.
    """
    for artefact in artefacts:
        name = check_key(artefact.path)
        storage.get_file(
            join_key(prefix, name), folder / name, sha256=artefact.sha256, on_bytes=on_bytes
        )


def commit_manifest(storage: Storage, key: str, manifest_bytes: bytes) -> bool:
    """Finishes a step: creates its manifest, which must be the last thing it writes.

    Returns:
        False if the step was finished already; then the manifest that is there holds.
    """
    return storage.put_new(key, manifest_bytes)


def _upload(
    storage: Storage, prefix: str, path: Path, *, name: str, on_bytes: OnBytes | None
) -> Artefact:
    stored = storage.put_file(join_key(prefix, name), path, on_bytes=on_bytes)
    if stored.sha256 is None:
        raise InvariantError(f"{stored.key}: put_file must return a sha256, got none")
    return Artefact(path=name, size_bytes=stored.size_bytes, sha256=stored.sha256)
