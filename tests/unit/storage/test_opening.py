"""URIs: which storage they open, and what is refused."""

from pathlib import Path

import pytest

from distillery.errors import SpecError
from ray_jobs.storage.opening import open_object, open_storage


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("file:///data/runs", "file:///data/runs"),
        ("file:///data/runs/", "file:///data/runs"),
        ("file://localhost/data", "file:///data"),
        ("file:///a%20b", "file:///a%20b"),
        ("file:///", "file:///"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b c/", "s3://bucket/a/b c"),
    ],
)
def test_a_uri_opens_the_storage_it_names(uri: str, want: str) -> None:
    assert open_storage(uri).uri == want


@pytest.mark.parametrize(
    ("uri", "want_uri", "want_key"),
    [
        ("file:///data/a%20b.jsonl", "file:///data", "a b.jsonl"),
        ("file:///train.jsonl", "file:///", "train.jsonl"),
        ("s3://bucket/train.jsonl", "s3://bucket", "train.jsonl"),
        ("s3://bucket/a/b/train#1.jsonl", "s3://bucket/a/b", "train#1.jsonl"),
    ],
)
def test_an_object_uri_gives_storage_and_key(uri: str, want_uri: str, want_key: str) -> None:
    storage, key = open_object(uri)
    assert (storage.uri, key) == (want_uri, want_key)


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        (
            "https://user:secret@host/x",
            r"^storage uri: must begin with file:/// or s3://, got 'https';",
        ),
        (
            "/data/runs",
            r"must begin with file:/// or s3://, got '/data/runs'; use file:///absolute",
        ),
        ("", r"must begin with file:/// or s3://, got ''"),
        ("file://data/runs", r"file must have an absolute path, got 'file://data/runs'; use three"),
        ("file://", r"file must have an absolute path"),
        (
            "s3://",
            r"bucket name must be 3 to 63 of a-z, 0-9, '\.' and '-', got ''; use s3://bucket",
        ),
        ("s3://My_Bucket/x", r"bucket name must be .*, got 'My_Bucket'"),
    ],
)
def test_a_uri_that_cannot_be_is_refused(uri: str, want: str) -> None:
    with pytest.raises(SpecError, match=want) as caught:
        open_storage(uri)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "file:///", "file:///data/", "x"])
def test_a_uri_without_a_file_is_refused(uri: str) -> None:
    with pytest.raises(SpecError, match=r"^data uri: must name one file, got "):
        open_object(uri)


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"^storage\.endpointUrl: must be an http or https URL, got 'nonsense';"
    ):
        open_storage("s3://bucket", endpoint_url="nonsense")


def test_opening_touches_nothing(tmp_path: Path) -> None:
    open_storage((tmp_path / "new").as_uri())
    assert list(tmp_path.iterdir()) == []
