"""``s3://``: objects in a bucket, through boto3.

boto3 moves the bytes (parts, threads, retries with backoff); here are SHA-256, conditional create,
reads that survive a broken connection, and clear errors. Credentials are ``s3_client.py``'s.
Every request with a body bears an S3 checksum (SHA-256), which the storage compares. Uploads that
were killed leave parts nobody sees; a bucket rule (AbortIncompleteMultipartUpload) frees them.
"""

import base64
import hashlib
import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from distillery.errors import ExternalError, word
from ray_jobs.storage.base import OnBytes, StoredObject
from ray_jobs.storage.faults import Reason, checksum_mismatch, os_faults
from ray_jobs.storage.hashing import hash_file, iterate_chunks
from ray_jobs.storage.keys import check_key, join_key
from ray_jobs.storage.receiving import receive
from ray_jobs.storage.s3_client import S3Settings, backoff_s, build_client
from ray_jobs.storage.s3_faults import bucket_missing, client_faults, code_of, status_of
from ray_jobs.storage.s3_reader import ObjectReader

_BUFFER_BYTES = 1 << 20


class S3Storage:
    """A ``Storage`` below ``s3://<bucket>/<prefix>``. Safe for threads; open one per process.

    Args:
        bucket: An existing bucket.
        prefix: Key prefix of the root, without a slash at either end; empty is the bucket itself.
        settings: Endpoint, region, part size, retries.
        sleep: Waits so many seconds.
        make_token: Makes a name no other writer has.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        settings: S3Settings | None = None,
        sleep: Callable[[float], None] = time.sleep,
        make_token: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._settings = settings or S3Settings()
        self._sleep = sleep
        self._make_token = make_token
        self._client = build_client(self._settings)
        self._transfer = TransferConfig(
            multipart_threshold=self._settings.part_size_bytes + 1,
            multipart_chunksize=self._settings.part_size_bytes,
            max_concurrency=self._settings.num_threads,
        )
        self._is_bucket_known = False

    @property
    def uri(self) -> str:
        """As ``Storage.uri``."""
        return "s3://" + (f"{self._bucket}/{self._prefix}" if self._prefix else self._bucket)

    @property
    def endpoint_url(self) -> str:
        """Where requests go, boto3's default included."""
        return str(self._client.meta.endpoint_url)

    def uri_of(self, key: str) -> str:
        """As ``Storage.uri_of``."""
        return f"s3://{self._bucket}/{self._full(key)}"

    def put_bytes(self, key: str, data: bytes) -> StoredObject:
        """As ``Storage.put_bytes``."""
        digest = hashlib.sha256(data)
        with self._faults(key):
            etag = self._put_object(key, data, digest.digest())
        return StoredObject(key=key, size_bytes=len(data), etag=etag, sha256=digest.hexdigest())

    def put_new(self, key: str, data: bytes) -> bool:
        """As ``Storage.put_new``. A request that was repeated because its answer got lost counts
        as the creation it was: the object bears a token of its writer."""
        digest = hashlib.sha256(data).digest()
        token = self._make_token()
        conditions = {"IfNoneMatch": "*", "Metadata": {"writer": token}}
        with self._faults(key):
            for attempt in range(1, self._settings.max_attempts + 1):
                try:
                    self._put_object(key, data, digest, **conditions)
                except ClientError as error:
                    if status_of(error) == 412:
                        return _was_repeated(error) and self._was_written_by(token, key)
                    is_conflict = code_of(error) == "ConditionalRequestConflict"
                    if not is_conflict or attempt == self._settings.max_attempts:
                        raise
                    self._wait(attempt)
                else:
                    return True
        return False

    def put_file(self, key: str, path: Path, *, on_bytes: OnBytes | None = None) -> StoredObject:
        """As ``Storage.put_file``. A file of several parts is hashed beside the upload, which is
        refused if the file changed meanwhile."""
        with os_faults(str(path)):
            before = path.stat()
            if before.st_size <= self._settings.part_size_bytes:
                stored = self.put_bytes(key, path.read_bytes())
                if on_bytes is not None:
                    on_bytes(stored.size_bytes)
                return stored
            with ThreadPoolExecutor(1) as beside:
                hashing = beside.submit(hash_file, path)
                etag = self._upload_parts(key, path, on_bytes=on_bytes)
            after = path.stat()
            sha256 = hashing.result()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            problem = (
                f"file must not change while it is uploaded, got {after.st_size} bytes after "
                f"{before.st_size}; upload it again when nobody writes it"
            )
            raise ExternalError(word(str(path), problem), reason=Reason.STORAGE_FAILED)
        return StoredObject(key=key, size_bytes=after.st_size, etag=etag, sha256=sha256)

    def get_bytes(self, key: str) -> bytes:
        """As ``Storage.get_bytes``."""
        with self.open_read(key) as stream:
            return b"".join(iterate_chunks(stream))

    def get_file(
        self, key: str, path: Path, *, sha256: str | None = None, on_bytes: OnBytes | None = None
    ) -> None:
        """As ``Storage.get_file``; large objects come in ranges side by side."""
        with os_faults(str(path)), receive(path) as part:
            with self._reading(key):
                self._client.download_file(
                    self._bucket,
                    self._full(key),
                    str(part),
                    Callback=_serialised(on_bytes),
                    Config=self._transfer,
                )
            if sha256 is not None and (got := hash_file(part)) != sha256:
                raise checksum_mismatch(self.uri_of(key), want=sha256, got=got)

    def open_read(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """As ``Storage.open_read``; the stream can seek, and goes on after broken connections."""
        with self._reading(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._full(key))

        def fetch(offset: int) -> IO[bytes]:
            again = self._client.get_object(
                Bucket=self._bucket,
                Key=self._full(key),
                Range=f"bytes={offset}-",
                IfMatch=answer["ETag"],
            )
            return cast(IO[bytes], again["Body"])

        reader = ObjectReader(
            fetch,
            body=answer["Body"],
            size_bytes=int(answer["ContentLength"]),
            max_breaks=self._settings.max_attempts - 1,
            wait=self._wait,
            faults=lambda: self._faults(key),
        )
        return io.BufferedReader(reader, _BUFFER_BYTES)

    def stat(self, key: str) -> StoredObject | None:
        """As ``Storage.stat``; knows the SHA-256 of objects that were sent in one piece."""
        try:
            with self._reading(key):
                head = self._head(key)
        except ExternalError as error:
            if error.reason == Reason.OBJECT_MISSING:
                return None
            raise
        return StoredObject(
            key=key,
            size_bytes=int(head["ContentLength"]),
            etag=str(head["ETag"]),
            sha256=_whole_sha256(head.get("ChecksumSHA256", "")),
        )

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As ``Storage.list``. All pages are fetched first: not every server keeps key order."""
        root = f"{self._prefix}/" if self._prefix else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{root}{prefix}"
        )
        with client_faults(place=f"{self.uri}/{prefix}", endpoint=self.endpoint_url):
            entries = [entry for page in pages for entry in page.get("Contents", ())]
        for entry in sorted(entries, key=lambda entry: str(entry["Key"])):
            yield StoredObject(
                key=entry["Key"].removeprefix(root),
                size_bytes=int(entry["Size"]),
                etag=str(entry["ETag"]),
            )

    def delete(self, key: str) -> None:
        """As ``Storage.delete``."""
        with self._faults(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return join_key(self._prefix, check_key(key))

    def _faults(self, key: str) -> AbstractContextManager[None]:
        return client_faults(place=self.uri_of(key), endpoint=self.endpoint_url)

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        """As ``_faults``; where HEAD can't tell a missing bucket from a missing object, asks."""
        try:
            with self._faults(key):
                yield
        except ExternalError as error:
            if error.reason == Reason.OBJECT_MISSING:
                self._require_bucket(key)
            raise

    def _require_bucket(self, key: str) -> None:
        if self._is_bucket_known:
            return
        with self._faults(key):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if status_of(error) == 404:
                    raise bucket_missing(self.uri_of(key)) from error
                if status_of(error) != 403:  # 403: rights on objects alone, so it is there
                    raise
        self._is_bucket_known = True

    def _put_object(self, key: str, data: bytes, digest: bytes, **conditions: Any) -> str:
        """The new object's ETag."""
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=self._full(key),
            Body=data,
            ChecksumSHA256=base64.b64encode(digest).decode(),
            **conditions,
        )
        return str(answer["ETag"])

    def _upload_parts(self, key: str, path: Path, *, on_bytes: OnBytes | None) -> str:
        """The new object's ETag. boto3 hashes each part, and the storage compares."""
        with self._faults(key):
            self._client.upload_file(
                str(path),
                self._bucket,
                self._full(key),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                Callback=_serialised(on_bytes),
                Config=self._transfer,
            )
            return str(self._head(key)["ETag"])

    def _head(self, key: str) -> dict[str, Any]:
        head: dict[str, Any] = self._client.head_object(
            Bucket=self._bucket, Key=self._full(key), ChecksumMode="ENABLED"
        )
        return head

    def _was_written_by(self, token: str, key: str) -> bool:
        return bool(self._head(key)["Metadata"].get("writer") == token)

    def _wait(self, attempt: int) -> None:
        self._sleep(backoff_s(attempt))


def _was_repeated(error: ClientError) -> bool:
    return int(error.response["ResponseMetadata"].get("RetryAttempts", 0)) > 0


def _serialised(on_bytes: OnBytes | None) -> OnBytes | None:
    """``on_bytes`` for boto3's many threads, one call at a time."""
    if on_bytes is None:
        return None
    lock = threading.Lock()

    def tell(num_bytes: int) -> None:
        with lock:
            on_bytes(num_bytes)

    return tell


def _whole_sha256(checksum: str) -> str | None:
    """Hex of S3's checksum of a whole object; None for one made of parts' checksums (``-N``)."""
    if not checksum or "-" in checksum:
        return None
    return base64.b64decode(checksum).hex()
