"""A real S3 server reached with keys mounted as files, which change while they are used."""

import uuid
from pathlib import Path

import pytest

from distillery.errors import ExternalError, SpecError
from ray_jobs.storage.base import Storage
from ray_jobs.storage.opening import open_object, open_storage
from tests.contract.storage.conftest import BUCKET, READER
from tests.servers.seaweedfs import S3Server, credentials_environment


@pytest.fixture
def folder(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The credential ``bucket`` as a pod has it; the surroundings' keys are nobody's."""
    for name, value in credentials_environment("nobody", "nothing").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DISTILLERY_CREDENTIALS_DIR", str(tmp_path))
    write_keys(tmp_path / "bucket", s3_server.access_key, s3_server.secret_key)
    return tmp_path / "bucket"


@pytest.fixture
def uri() -> str:
    return f"s3://{BUCKET}/tests/{uuid.uuid4().hex}"


def write_keys(folder: Path, access_key: str, secret_key: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "AWS_ACCESS_KEY_ID").write_text(f"{access_key}\n")
    (folder / "AWS_SECRET_ACCESS_KEY").write_text(f"{secret_key}\n")


def open_mounted(uri: str, server: S3Server, ref: str | None = "bucket") -> Storage:
    return open_storage(
        uri, endpoint_url=server.endpoint_url, region="us-east-1", credentials_ref=ref
    )


def test_mounted_keys_open_the_storage(s3_server: S3Server, folder: Path, uri: str) -> None:
    storage = open_mounted(uri, s3_server)
    storage.put_bytes("a", b"1")

    assert storage.get_bytes("a") == b"1"
    assert [stored.key for stored in storage.list()] == ["a"]


def test_large_files_go_up_with_mounted_keys_too(
    s3_server: S3Server, folder: Path, uri: str, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (9 << 20))
    storage = open_mounted(uri, s3_server)

    assert storage.put_file("large", path).size_bytes == 9 << 20
    stored = storage.stat("large")
    assert stored is not None
    assert stored.size_bytes == 9 << 20


def test_one_object_is_opened_with_mounted_keys(
    s3_server: S3Server, folder: Path, uri: str
) -> None:
    open_mounted(uri, s3_server).put_bytes("a", b"1")
    storage, key = open_object(
        f"{uri}/a",
        endpoint_url=s3_server.endpoint_url,
        region="us-east-1",
        credentials_ref="bucket",
    )
    assert storage.get_bytes(key) == b"1"


def test_without_a_credential_the_surroundings_are_asked(
    s3_server: S3Server, folder: Path, uri: str
) -> None:
    with pytest.raises(ExternalError, match=r"access denied, got InvalidAccessKeyId"):
        open_mounted(uri, s3_server, ref=None).put_bytes("a", b"1")


def test_changed_keys_are_used_from_the_next_request_on(
    s3_server: S3Server, folder: Path, uri: str
) -> None:
    storage = open_mounted(uri, s3_server)
    storage.put_bytes("a", b"1")
    write_keys(folder, READER.access_key, READER.secret_key)
    assert storage.get_bytes("a") == b"1"
    with pytest.raises(ExternalError, match=r"access denied, got AccessDenied"):
        storage.put_bytes("b", b"2")
    write_keys(folder, s3_server.access_key, s3_server.secret_key)
    storage.put_bytes("b", b"2")
    assert storage.get_bytes("b") == b"2"


def test_keys_that_vanish_are_told_as_such(s3_server: S3Server, folder: Path, uri: str) -> None:
    storage = open_mounted(uri, s3_server)
    (folder / "AWS_SECRET_ACCESS_KEY").unlink()
    with pytest.raises(SpecError, match=r"got no AWS_SECRET_ACCESS_KEY; add it"):
        storage.put_bytes("a", b"1")


def test_a_credential_that_is_not_mounted_is_refused_at_once(
    s3_server: S3Server, folder: Path, uri: str
) -> None:
    with pytest.raises(SpecError, match=r"credential other must be mounted in this pod, got no"):
        open_mounted(uri, s3_server, ref="other")


def test_wrong_keys_are_told_without_the_secret(
    s3_server: S3Server, folder: Path, uri: str
) -> None:
    write_keys(folder, s3_server.access_key, "hidden-value")
    with pytest.raises(ExternalError, match=r"access denied, got SignatureDoesNotMatch") as caught:
        open_mounted(uri, s3_server).put_bytes("a", b"1")
    assert "hidden-value" not in caught.value.message
