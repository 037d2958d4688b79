"""The storages under test: a folder, and a bucket of a real S3 server started once a session."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ray_jobs.storage.base import Storage
from ray_jobs.storage.local import LocalStorage
from ray_jobs.storage.s3 import S3Storage
from ray_jobs.storage.s3_client import S3Settings
from tests.servers.seaweedfs import Identity, S3Server, running_s3

BUCKET = "models"
PRIVATE_BUCKET = "private"
READER = Identity(
    name="reader",
    access_key="reader",
    secret_key="reader-secret",
    actions=(f"Read:{BUCKET}", f"List:{BUCKET}"),
)
PART_SIZE_BYTES = 5 << 20
"""The least that S3 allows, so that objects of several parts stay small."""

OpenS3 = Callable[..., S3Storage]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3"), identities=(READER,)) as server:
        server.create_bucket(BUCKET)
        server.create_bucket(PRIVATE_BUCKET)
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with its administrator's credentials in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def open_s3(s3_environment: S3Server) -> OpenS3:
    """Opens the test's bucket at a prefix of its own; ``bucket``, ``endpoint_url`` and
    ``max_attempts`` may be chosen."""
    prefix = f"tests/{uuid.uuid4().hex}"

    def open_(
        *, bucket: str = BUCKET, endpoint_url: str | None = None, max_attempts: int = 3
    ) -> S3Storage:
        settings = S3Settings(
            endpoint_url=endpoint_url or s3_environment.endpoint_url,
            region="us-east-1",
            part_size_bytes=PART_SIZE_BYTES,
            max_attempts=max_attempts,
        )
        return S3Storage(bucket, prefix=prefix, settings=settings, sleep=lambda _: None)

    return open_


@pytest.fixture(params=["file", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "file":
        return LocalStorage(tmp_path / "storage root")
    open_: OpenS3 = request.getfixturevalue("open_s3")
    return open_()
