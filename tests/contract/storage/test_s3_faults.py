"""What goes wrong with S3, each against a real server: refusals, breaks, damage, races."""

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.errors import DistilleryError, ExternalError
from ray_jobs.storage.opening import open_storage
from ray_jobs.storage.probe import probe_storage
from ray_jobs.storage.s3 import S3Storage
from tests.contract.storage.conftest import (
    BUCKET,
    PRIVATE_BUCKET,
    READER,
    OpenS3,
)
from tests.contract.storage.test_storage import hex_sha256, make_bytes, make_file
from tests.servers.faulty_proxy import Fault, FaultKind, faulty_proxy, s3_error
from tests.servers.seaweedfs import S3Server, credentials_environment, find_free_port

FEW_SECONDS = 10.0

CALLS: dict[str, Callable[[S3Storage, Path], object]] = {
    "put_bytes": lambda storage, path: storage.put_bytes("k", b"x"),
    "put_new": lambda storage, path: storage.put_new("k", b"x"),
    "put_file": lambda storage, path: storage.put_file("k", path),
    "get_bytes": lambda storage, path: storage.get_bytes("k"),
    "get_file": lambda storage, path: storage.get_file("k", path.with_name("copy")),
    "open_read": lambda storage, path: storage.open_read("k"),
    "stat": lambda storage, path: storage.stat("k"),
    "list": lambda storage, path: list(storage.list()),
    "delete": lambda storage, path: storage.delete("k"),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


class StoppedError(Exception):
    """Raised by a caller who has enough."""


def use_credentials(monkeypatch: pytest.MonkeyPatch, access_key: str, secret_key: str) -> None:
    for name, value in credentials_environment(access_key, secret_key).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file that goes up in three parts."""
    return make_file(tmp_path, make_bytes(11 << 20))


@each_call
def test_a_missing_bucket_is_told(
    open_s3: OpenS3, large_file: Path, call: Callable[[S3Storage, Path], object]
) -> None:
    storage = open_s3(bucket="no-such-bucket")
    with pytest.raises(
        ExternalError,
        match=r"^s3://no-such-bucket/.*: bucket does not exist, got NoSuchBucket; "
        r"create it or correct storage\.uri$",
    ) as caught:
        call(storage, large_file)
    assert caught.value.reason == "BucketMissing"
    assert caught.value.status_code == 404


@each_call
def test_denied_access_is_told(
    open_s3: OpenS3,
    large_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[S3Storage, Path], object],
) -> None:
    use_credentials(monkeypatch, READER.access_key, READER.secret_key)
    storage = open_s3(bucket=PRIVATE_BUCKET)
    with pytest.raises(
        ExternalError,
        match=r"^s3://private/.*: access denied, got (AccessDenied|403) \(403\); "
        r"check the credentials",
    ) as caught:
        call(storage, large_file)
    assert caught.value.reason == "AccessDenied"
    assert caught.value.status_code == 403


def test_a_reader_may_read_and_not_write(open_s3: OpenS3, monkeypatch: pytest.MonkeyPatch) -> None:
    open_s3().put_bytes("k", b"x")
    use_credentials(monkeypatch, READER.access_key, READER.secret_key)
    storage = open_s3()
    assert storage.get_bytes("k") == b"x"
    with pytest.raises(ExternalError, match=r"/k: access denied, got AccessDenied \(403\)"):
        storage.put_bytes("k", b"y")


@pytest.mark.parametrize(
    ("access_key", "secret_key", "want_code"),
    [
        ("nobody", "nothing", "InvalidAccessKeyId"),
        (READER.access_key, "not-the-secret", "SignatureDoesNotMatch"),
    ],
    ids=["unknown key", "wrong secret"],
)
def test_wrong_credentials_are_told_without_the_secret(
    open_s3: OpenS3,
    monkeypatch: pytest.MonkeyPatch,
    access_key: str,
    secret_key: str,
    want_code: str,
) -> None:
    use_credentials(monkeypatch, access_key, secret_key)
    with pytest.raises(ExternalError, match=rf"access denied, got {want_code} \(403\)") as caught:
        open_s3().get_bytes("k")
    assert caught.value.reason == "AccessDenied"
    assert secret_key not in caught.value.message


def test_absent_credentials_are_told(open_s3: OpenS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        ExternalError, match=r"access denied, got no usable credentials \(NoCredentialsError\); set"
    ) as caught:
        open_s3().put_bytes("k", b"x")
    assert caught.value.reason == "AccessDenied"


def test_a_wrong_endpoint_is_told_within_seconds(s3_environment: S3Server) -> None:
    endpoint_url = f"http://127.0.0.1:{find_free_port()}"
    storage = open_storage(f"s3://{BUCKET}/x", endpoint_url=endpoint_url, region="us-east-1")
    start_s = time.monotonic()
    with pytest.raises(
        ExternalError,
        match=rf"can't reach the storage at {endpoint_url}, got EndpointConnectionError; check "
        r"storage\.endpointUrl and the network$",
    ) as caught:
        storage.put_bytes("k", b"x")
    assert caught.value.reason == "EndpointUnreachable"
    assert time.monotonic() - start_s < FEW_SECONDS


def test_a_server_that_only_hangs_up_has_failed(open_s3: OpenS3, s3_server: S3Server) -> None:
    faults = [Fault(kind=FaultKind.REFUSE)] * 2
    with faulty_proxy(s3_server.endpoint_url, faults) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url, max_attempts=2)
        with pytest.raises(ExternalError, match=r"storage at http.* failed, got \w+Error; see its"):
            storage.put_bytes("k", b"x")


def test_a_request_is_repeated_after_a_broken_connection(
    open_s3: OpenS3, s3_server: S3Server
) -> None:
    with faulty_proxy(s3_server.endpoint_url, [Fault(kind=FaultKind.REFUSE)]) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url)
        storage.put_bytes("k", b"x")
        assert not proxy.faults
    assert open_s3().get_bytes("k") == b"x"


def test_a_creation_whose_answer_was_lost_is_known_as_ours(
    open_s3: OpenS3, s3_server: S3Server
) -> None:
    with faulty_proxy(s3_server.endpoint_url, [Fault(kind=FaultKind.LOSE_ANSWER)]) as proxy:
        assert open_s3(endpoint_url=proxy.endpoint_url).put_new("k", b"ours") is True
        assert not proxy.faults
    assert open_s3().get_bytes("k") == b"ours"


def test_a_taken_key_is_refused_also_when_the_answer_was_lost(
    open_s3: OpenS3, s3_server: S3Server
) -> None:
    open_s3().put_new("k", b"theirs")
    with faulty_proxy(s3_server.endpoint_url, [Fault(kind=FaultKind.LOSE_ANSWER)]) as proxy:
        assert open_s3(endpoint_url=proxy.endpoint_url).put_new("k", b"ours") is False
    assert open_s3().get_bytes("k") == b"theirs"


def test_a_stream_goes_on_where_the_connection_broke(open_s3: OpenS3, s3_server: S3Server) -> None:
    data = make_bytes(4 << 20)
    open_s3().put_bytes("k", data)
    faults = [Fault(kind=FaultKind.CUT_ANSWER, after_bytes=num) for num in (1 << 20, 2 << 20)]
    with faulty_proxy(s3_server.endpoint_url, faults) as proxy:
        assert open_s3(endpoint_url=proxy.endpoint_url).get_bytes("k") == data
        assert not proxy.faults


def test_a_stream_that_breaks_too_often_fails(open_s3: OpenS3, s3_server: S3Server) -> None:
    open_s3().put_bytes("k", make_bytes(4 << 20))
    faults = [
        Fault(kind=FaultKind.CUT_ANSWER, after_bytes=1 << 20),
        *[Fault(kind=FaultKind.REFUSE)] * 9,
    ]
    with faulty_proxy(s3_server.endpoint_url, faults) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url, max_attempts=2)
        with pytest.raises(ExternalError, match=r"/k: storage at http.* failed, got") as caught:
            storage.get_bytes("k")
    assert caught.value.reason == "StorageFailed"


def test_a_stream_refuses_an_object_that_was_replaced_meanwhile(
    open_s3: OpenS3, s3_server: S3Server
) -> None:
    storage = open_s3()
    storage.put_bytes("k", make_bytes(4 << 20))
    with storage.open_read("k") as stream:
        stream.read(10)
        storage.put_bytes("k", make_bytes(4 << 20, seed=1))
        stream.seek(3 << 20)
        with pytest.raises(
            ExternalError, match=r"/k: object must not change while it is read, got"
        ) as caught:
            stream.read(10)
    assert caught.value.status_code == 412


def test_a_download_survives_a_broken_connection(
    open_s3: OpenS3, s3_server: S3Server, tmp_path: Path
) -> None:
    data = make_bytes(3 << 20)
    open_s3().put_bytes("k", data)
    faults = [Fault(kind=FaultKind.CUT_ANSWER, after_bytes=1 << 20)]
    with faulty_proxy(s3_server.endpoint_url, faults) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url)
        storage.get_file("k", tmp_path / "copy", sha256=hex_sha256(data))
        assert not proxy.faults
    assert (tmp_path / "copy").read_bytes() == data


@pytest.mark.parametrize("num_bytes", [1 << 20, 11 << 20], ids=["one piece", "parts"])
def test_bytes_damaged_on_the_way_are_refused_and_not_seen(
    open_s3: OpenS3, s3_server: S3Server, tmp_path: Path, num_bytes: int
) -> None:
    path = make_file(tmp_path, make_bytes(num_bytes))
    faults = [Fault(kind=FaultKind.DAMAGE_REQUEST, after_bytes=500_000)] * 2
    with faulty_proxy(s3_server.endpoint_url, faults) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url)
        with pytest.raises(
            ExternalError, match=r"/k: bytes must arrive as they were sent, got BadDigest \(400\)"
        ) as caught:
            storage.put_file("k", path)
    assert caught.value.reason == "ChecksumMismatch"
    assert list(open_s3().list()) == []


# boto3 leaves the parts it cancels open until they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_upload_that_fails_halfway_leaves_nothing_and_no_parts(
    open_s3: OpenS3, s3_server: S3Server, large_file: Path
) -> None:
    def stop(num_bytes: int) -> None:
        raise StoppedError

    storage = open_s3()
    with pytest.raises(StoppedError):
        storage.put_file("k", large_file, on_bytes=stop)
    gc.collect()
    assert list(storage.list()) == []
    assert storage.stat("k") is None
    prefix = storage.uri_of("k").removeprefix(f"s3://{BUCKET}/")
    uploads = s3_server.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
    assert uploads.get("Uploads", []) == []


def test_a_file_that_grows_while_it_is_uploaded_is_refused(
    open_s3: OpenS3, large_file: Path
) -> None:
    def grow(num_bytes: int) -> None:
        with large_file.open("ab") as stream:
            stream.write(b"x")

    with pytest.raises(
        ExternalError,
        match=r"source\.bin: file must not change while it is uploaded, got \d+ bytes after \d+;",
    ) as caught:
        open_s3().put_file("k", large_file, on_bytes=grow)
    assert caught.value.reason == "StorageFailed"


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")],
)
def test_a_busy_server_is_asked_again(
    open_s3: OpenS3, s3_server: S3Server, status: int, code: str
) -> None:
    with faulty_proxy(s3_server.endpoint_url, [s3_error(status, code)]) as proxy:
        open_s3(endpoint_url=proxy.endpoint_url).put_bytes("k", b"x")
        assert not proxy.faults
    assert open_s3().get_bytes("k") == b"x"


def test_a_server_that_stays_busy_has_failed(open_s3: OpenS3, s3_server: S3Server) -> None:
    with faulty_proxy(s3_server.endpoint_url, [s3_error(503, "SlowDown")] * 2) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url, max_attempts=2)
        with pytest.raises(
            ExternalError,
            match=r"/k: storage refused PutObject, got SlowDown \(503\); see the storage's log",
        ) as caught:
            storage.put_bytes("k", b"x")
    assert (caught.value.reason, caught.value.status_code) == ("StorageFailed", 503)


def test_creation_is_tried_again_after_a_conflict(open_s3: OpenS3, s3_server: S3Server) -> None:
    conflict = s3_error(409, "ConditionalRequestConflict")
    with faulty_proxy(s3_server.endpoint_url, [conflict, conflict]) as proxy:
        assert open_s3(endpoint_url=proxy.endpoint_url).put_new("k", b"x") is True
        assert not proxy.faults
    assert open_s3().get_bytes("k") == b"x"


def test_creation_that_always_conflicts_fails(open_s3: OpenS3, s3_server: S3Server) -> None:
    conflict = s3_error(409, "ConditionalRequestConflict")
    with faulty_proxy(s3_server.endpoint_url, [conflict] * 3) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url, max_attempts=3)
        with pytest.raises(ExternalError, match=r"got ConditionalRequestConflict \(409\)"):
            storage.put_new("k", b"x")
    assert open_s3().stat("k") is None


def test_an_answer_that_is_no_s3_is_told(open_s3: OpenS3, s3_server: S3Server) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html>hi</htm"
    fault = Fault(kind=FaultKind.ANSWER, answer=page)
    with faulty_proxy(s3_server.endpoint_url, [fault] * 3) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url)
        with pytest.raises(
            ExternalError, match=r"storage refused ListObjectsV2, got 500"
        ) as caught:
            list(storage.list())
    assert caught.value.reason == "StorageFailed"


def test_the_probe_refuses_a_server_without_conditional_create(
    open_s3: OpenS3, s3_server: S3Server
) -> None:
    unknown = s3_error(501, "NotImplemented", marker=b"If-None-Match")
    with faulty_proxy(s3_server.endpoint_url, [unknown] * 4) as proxy:
        storage = open_s3(endpoint_url=proxy.endpoint_url)
        with pytest.raises(
            ExternalError,
            match=r"^s3://models/tests/\w+: must know conditional create, got status 501; use a",
        ) as caught:
            probe_storage(storage, prefix="probes")
    assert caught.value.reason == "StorageUnfit"
    assert list(open_s3().list()) == []


def test_every_message_fits_even_for_the_longest_key(
    open_s3: OpenS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch, "nobody", "nothing")
    with pytest.raises(DistilleryError) as caught:
        open_s3().get_bytes("k" * 900)
    assert len(caught.value.message) <= 256
    assert caught.value.message.startswith(f"s3://{BUCKET}/tests/")
    assert "kkk: access denied, got" in caught.value.message
