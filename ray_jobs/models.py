"""Models by reference: pinned once by prepare, fetched as a local folder by every other stage.

What a pin's ``digest`` is made of:

- ``hf://``: the hub's commit.
- ``s3://``: name, size and ETag of every model file.
- ``file://``: SHA-256 of every small file (config, tokenizer, index); of a weights file its size
  and the SHA-256 of its first and last MiB, for a 405B model can't be read whole each time. Weights
  changed only in their middle, at the same size, are therefore not noticed.

Model files are the folder's own ``*.json``, ``*.jinja``, ``*.txt``, ``*.model`` and
``*.safetensors``, so an adapter's files count too. Loading them is the engines' and trainers' work.
"""

import hashlib
import importlib.metadata
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from distillery.errors import SpecError, word
from distillery.manifests import canonical_json, sha256_hex
from distillery.spec.job import StorageSpec
from distillery.spec.teacher import ModelRef
from distillery.stage_configs import PinnedModel, StepContext
from ray_jobs.engines.model_folder import check_model_folder, read_model_config
from ray_jobs.hub import MODEL_SCHEME, fetch_snapshot, list_model_files
from ray_jobs.rendering import RENDERER_VERSION, Renderer
from ray_jobs.storage.base import Storage, StoredObject
from ray_jobs.storage.faults import os_faults
from ray_jobs.storage.opening import open_storage
from ray_jobs.storage.receiving import receive, write_chunks

UNREADABLE = "ModelUnreadable"
CHANGED = "ModelChanged"

_WEIGHTS = "*.safetensors"
_SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model")
_EDGE_BYTES = 1 << 20
"""Read at either end of a weights file: the header with names and shapes, and the last tensor."""


def model_cache(context: StepContext) -> Path:
    """Where this machine keeps downloaded models, shared by all steps of a job."""
    return Path(context.scratch_dir) / "models"


@dataclass(frozen=True, kw_only=True)
class InspectedModel:
    """A model as it is now, and its ``config.json``."""

    pin: PinnedModel
    config: dict[str, Any]


def pin_model(ref: ModelRef, storage: StorageSpec, cache: Path) -> PinnedModel:
    """As ``inspect_model``, without the config."""
    return inspect_model(ref, storage, cache).pin


def inspect_model(ref: ModelRef, storage: StorageSpec, cache: Path) -> InspectedModel:
    """The model as it is now: its digest, commit and the hash of its chat template, its config.

    Weights aren't downloaded.

    Args:
        storage: Gives endpoint, region and credentials for ``s3://`` models.
        cache: See ``model_cache``; template hashes are kept there by digest.

    Raises:
        SpecError: ``ModelUnreadable`` for no folder, no config, no weights, no tokenizer; and as
            ``Renderer.from_folder``.
        ExternalError, TransientError: The storage or the hub can't be asked.
    """
    if ref.uri.startswith(MODEL_SCHEME):
        repo = ref.uri.removeprefix(MODEL_SCHEME)
        folder = fetch_snapshot(
            repo, revision=ref.revision, patterns=_SMALL_FILES, reason=UNREADABLE
        )
        names = list_model_files(repo, commit=folder.name, reason=UNREADABLE)
        if names is not None:
            _check_names(ref.uri, names)
        return _inspect(ref, folder, digest=folder.name, cache=cache, revision=folder.name)
    if ref.uri.startswith("s3://"):
        source = _open(ref.uri, storage)
        files = _list_model_files(source)
        _check_names(ref.uri, [file.key for file in files])
        with os_faults(str(cache)), tempfile.TemporaryDirectory() as folder_name:
            folder = Path(folder_name)
            _download(source, [file for file in files if not fnmatch(file.key, _WEIGHTS)], folder)
            return _inspect(ref, folder, digest=_digest_objects(files), cache=cache)
    folder = _local_folder(ref.uri)
    check_model_folder(folder)
    return _inspect(ref, folder, digest=_digest_folder(folder), cache=cache)


def fetch_model(pin: PinnedModel, storage: StorageSpec, cache: Path) -> Path:
    """A local folder with the whole model, exactly as it was pinned.

    ``file://`` models are used where they are; others are downloaded once.

    Raises:
        SpecError: ``ModelChanged`` where the files are no longer those which were pinned;
            ``ModelUnreadable``.
        ExternalError, TransientError, ResourceError: The download failed.
    """
    if pin.uri.startswith(MODEL_SCHEME):
        repo = pin.uri.removeprefix(MODEL_SCHEME)
        folder = fetch_snapshot(
            repo, revision=pin.revision, patterns=(*_SMALL_FILES, _WEIGHTS), reason=UNREADABLE
        )
    elif pin.uri.startswith("s3://"):
        folder = _fetch_objects(pin, _open(pin.uri, storage), cache)
    else:
        folder = _local_folder(pin.uri)
        check_model_folder(folder)
        _check_same(pin, _digest_folder(folder))
    check_model_folder(folder)
    return folder


def _inspect(
    ref: ModelRef, folder: Path, *, digest: str, cache: Path, revision: str = ""
) -> InspectedModel:
    pin = PinnedModel(
        uri=ref.uri,
        revision=revision,
        date=ref.date,
        digest=digest,
        template_hash=_template_hash(folder, ref, digest=digest, cache=cache),
    )
    return InspectedModel(pin=pin, config=read_model_config(folder))


def _template_hash(folder: Path, ref: ModelRef, *, digest: str, cache: Path) -> str:
    """The renderer's hash, remembered by all it depends on: loading a tokenizer takes seconds."""
    key = {
        "date": ref.date,
        "digest": digest,
        "renderer": RENDERER_VERSION,
        "transformers": importlib.metadata.version("transformers"),
        "uri": ref.uri,
    }
    known = cache / "templates" / sha256_hex(canonical_json(key))[:32]
    with os_faults(str(known)):
        if known.exists():
            return known.read_text("ascii")
        template_hash = Renderer.from_folder(folder, date=ref.date or None).template_hash
        with receive(known) as part:
            write_chunks(part, (template_hash.encode(),))
    return template_hash


def _fetch_objects(pin: PinnedModel, source: Storage, cache: Path) -> Path:
    folder = cache / pin.digest
    if folder.is_dir():
        return folder
    files = _list_model_files(source)
    _check_same(pin, _digest_objects(files))
    part = cache / f"{pin.digest}.{secrets.token_hex(8)}.part"
    try:
        _download(source, files, part)
        # Written again while it was read: what came may be half of each.
        _check_same(pin, _digest_objects(_list_model_files(source)))
        with os_faults(str(folder)):
            _take_name(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _take_name(part: Path, folder: Path) -> None:
    try:
        part.rename(folder)
    except OSError:
        # Another step was first with the same files.
        if not folder.is_dir():
            raise


def _download(source: Storage, files: list[StoredObject], folder: Path) -> None:
    for file in files:
        source.get_file(file.key, folder / file.key)


def _list_model_files(source: Storage) -> list[StoredObject]:
    """The model's files, which lie at the root of ``source``."""
    return [file for file in source.list("") if "/" not in file.key and _is_model_file(file.key)]


def _is_model_file(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in (*_SMALL_FILES, _WEIGHTS))


def _check_names(uri: str, names: list[str] | tuple[str, ...]) -> None:
    if "config.json" not in names:
        raise _unreadable(uri, "no config.json there", "check the address")
    if not any(fnmatch(name, _WEIGHTS) for name in names):
        raise _unreadable(uri, "no *.safetensors there", "convert the weights with save_pretrained")


def _digest_objects(files: list[StoredObject]) -> str:
    return sha256_hex(canonical_json([[file.key, file.size_bytes, file.etag] for file in files]))


def _digest_folder(folder: Path) -> str:
    with os_faults(str(folder)):
        files = sorted(
            path for path in folder.iterdir() if path.is_file() and _is_model_file(path.name)
        )
        return sha256_hex(canonical_json([[path.name, *_fingerprint(path)] for path in files]))


def _fingerprint(path: Path) -> tuple[int, str]:
    """Size and content hash of a file; of weights, of both ends only."""
    size_bytes = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        if not fnmatch(path.name, _WEIGHTS) or size_bytes <= 2 * _EDGE_BYTES:
            return size_bytes, hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(stream.read(_EDGE_BYTES))
        stream.seek(-_EDGE_BYTES, os.SEEK_END)
        digest.update(stream.read(_EDGE_BYTES))
    return size_bytes, digest.hexdigest()


def _check_same(pin: PinnedModel, digest: str) -> None:
    if digest != pin.digest:
        raise SpecError(
            word(
                pin.uri,
                f"the model must stay as it was pinned ({pin.digest[:12]}), got {digest[:12]}; "
                "run the job again, it will pin the new one",
            ),
            reason=CHANGED,
        )


def _open(uri: str, storage: StorageSpec) -> Storage:
    return open_storage(
        uri,
        endpoint_url=storage.endpoint_url or None,
        region=storage.region or None,
        credentials_ref=storage.credentials_ref,
    )


def _local_folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise _unreadable(
            uri, f"scheme {parts.scheme[:20]!r}", "use file:///folder, s3://bucket/folder or hf://"
        )
    return Path(unquote(parts.path) if parts.scheme else uri)


def _unreadable(uri: str, got: str, way_out: str) -> SpecError:
    return SpecError(
        word(uri, f"a readable model is needed, got {got}; {way_out}"), reason=UNREADABLE
    )
