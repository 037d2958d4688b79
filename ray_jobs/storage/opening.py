"""From a URI to storage. boto3 is imported only when an ``s3://`` URI is opened.

Where credentials are mounted is read in the environment, as boto3 reads the surroundings': every
process that opens storage has it, Ray's workers too.
"""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from distillery.errors import SpecError
from ray_jobs.storage.base import Storage
from ray_jobs.storage.credentials import credentials_folder
from ray_jobs.storage.local import LocalStorage

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_storage(
    uri: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    credentials_ref: str | None = None,
) -> Storage:
    """The storage below ``uri``; nothing is read or written yet.

    Args:
        uri: ``file:///absolute/folder`` or ``s3://bucket[/prefix]``.
        endpoint_url: Of an S3 storage that isn't AWS's.
        region: Of the bucket.
        credentials_ref: The job's credential for ``s3://``, used where this process has mounted
            ones (``credentials.py``).

    Raises:
        SpecError: The URI, the bucket's name or the endpoint can't be right;
            ``CredentialsMissing``.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme == "file":
        return LocalStorage(_parse_file_uri(uri))
    if scheme == "s3":
        bucket, prefix = _parse_s3_uri(uri)
        settings = {
            "endpoint_url": endpoint_url,
            "region": region,
            "credentials": credentials_folder(credentials_ref, os.environ),
        }
        return _open_s3(bucket, prefix, settings)
    raise SpecError(
        f"storage uri: must begin with file:/// or s3://, got {scheme[:20] or uri[:20]!r}; "
        "use file:///absolute/folder or s3://bucket/prefix"
    )


def open_object(
    uri: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    credentials_ref: str | None = None,
) -> tuple[Storage, str]:
    """The storage that holds the one object ``uri``, and its key there. Arguments as in
    ``open_storage``.

    Raises:
        SpecError: As ``open_storage``, and where the URI names no object.
    """
    root, _, name = uri.rpartition("/")
    if not name or not root or root.endswith("s3:/"):
        raise SpecError(
            f"data uri: must name one file, got {uri[:100]!r}; write s3://bucket/folder/file "
            "or file:///folder/file"
        )
    key = unquote(name) if root.startswith("file:") else name
    storage = open_storage(
        "file:///" if root == "file://" else root,
        endpoint_url=endpoint_url,
        region=region,
        credentials_ref=credentials_ref,
    )
    return storage, key


def _parse_file_uri(uri: str) -> Path:
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query:
        raise SpecError(
            f"storage uri: file must have an absolute path, got {uri[:100]!r}; "
            "use three slashes: file:///absolute/folder"
        )
    return path


def _parse_s3_uri(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise SpecError(
            f"storage uri: bucket name must be 3 to 63 of a-z, 0-9, '.' and '-', "
            f"got {bucket[:80]!r}; use s3://bucket/prefix"
        )
    return bucket, prefix


def _open_s3(bucket: str, prefix: str, settings: dict[str, Any]) -> Storage:
    from ray_jobs.storage.s3 import S3Storage  # boto3 loads here, and only for s3://
    from ray_jobs.storage.s3_client import S3Settings

    return S3Storage(bucket, prefix=prefix, settings=S3Settings(**settings))
