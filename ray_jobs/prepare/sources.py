"""A data set's address to its digest and its raw rows.

The digest is a local file's SHA-256, an S3 object's ETag and size, or a hub data set's commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from distillery.errors import SpecError, word
from distillery.manifests import canonical_json, sha256_hex
from distillery.spec.dataset import DataFormat, DataSource
from distillery.spec.job import StorageSpec
from ray_jobs.hub import DATASET_SCHEME, resolve_dataset
from ray_jobs.prepare.hub_data import read_hub_rows
from ray_jobs.prepare.problems import RowProblems
from ray_jobs.prepare.readers import UNREADABLE, RawRow, choose_format, read_file
from ray_jobs.records import Split
from ray_jobs.storage.faults import os_faults
from ray_jobs.storage.hashing import hash_file
from ray_jobs.storage.opening import open_object


@dataclass(frozen=True, kw_only=True)
class OpenedSource:
    """A data source that is there. ``name`` is how its rows are told (``train.jsonl:17``)."""

    split: Split
    source: DataSource
    name: str
    digest: str
    storage: StorageSpec
    form: DataFormat | None = None

    def read(self, problems: RowProblems, *, scratch: Path) -> Iterator[RawRow]:
        """Its raw rows in order; ``scratch`` takes the download of an S3 object."""
        if self.form is None:
            return read_hub_rows(self.source, commit=self.digest, default_split=self.split.value)
        return read_file(self._local_path(scratch), self.form, problems)

    def _local_path(self, scratch: Path) -> Path:
        if self.source.uri.startswith("file://"):
            return _path_of(self.source.uri)
        local = scratch / "data" / self.digest / self.name
        if not local.exists():
            storage, key = open_object(
                self.source.uri,
                endpoint_url=self.storage.endpoint_url or None,
                region=self.storage.region or None,
                credentials_ref=self.storage.credentials_ref,
            )
            storage.get_file(key, local)
        return local


def open_source(source: DataSource, *, split: Split, storage: StorageSpec) -> OpenedSource:
    """Finds the source and its digest.

    Args:
        storage: Gives endpoint, region and credentials for ``s3://`` data.

    Raises:
        SpecError: ``DataUnreadable``: it isn't there, or of unknown format.
        ExternalError, TransientError: It can't be asked for.
    """
    place = f"dataset.{split}"
    if source.uri.startswith(DATASET_SCHEME):
        repo = source.uri.removeprefix(DATASET_SCHEME)
        commit = resolve_dataset(repo, revision=source.revision, reason=UNREADABLE)
        return OpenedSource(
            split=split, source=source, name=source.uri, digest=commit, storage=storage
        )
    form = choose_format(source.uri, source.format, place=place)
    if source.uri.startswith("s3://"):
        digest = _object_digest(source.uri, place=place, storage=storage)
    else:
        digest = _file_digest(_path_of(source.uri), place=place)
    return OpenedSource(
        split=split,
        source=source,
        name=unquote(source.uri.rpartition("/")[2]),
        digest=digest,
        storage=storage,
        form=form,
    )


def _path_of(uri: str) -> Path:
    parts = urlsplit(uri)
    return Path(unquote(parts.path))


def _file_digest(path: Path, *, place: str) -> str:
    if not path.is_file():
        raise _missing(f"{place}.uri", str(path))
    with os_faults(str(path)):
        return hash_file(path)


def _object_digest(uri: str, *, place: str, storage: StorageSpec) -> str:
    source, key = open_object(
        uri,
        endpoint_url=storage.endpoint_url or None,
        region=storage.region or None,
        credentials_ref=storage.credentials_ref,
    )
    found = source.stat(key)
    if found is None:
        raise _missing(f"{place}.uri", uri)
    return sha256_hex(canonical_json([found.etag, found.size_bytes]))


def _missing(place: str, got: str) -> SpecError:
    return SpecError(
        word(place, f"no such file, got {got[-120:]}; check the path"), reason=UNREADABLE
    )
