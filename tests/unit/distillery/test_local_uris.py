"""Plain paths in a job become URIs; what has a scheme stays."""

import pytest

from distillery.local_uris import resolve_uri, resolve_uris
from tests.builders import make_job


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("data/train.jsonl", "file:///home/me/data/train.jsonl"),
        ("../store", "file:///home/store"),
        ("/abs/with space", "file:///abs/with%20space"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("hf://datasets/a/b", "hf://datasets/a/b"),
        ("file:///x", "file:///x"),
    ],
)
def test_a_plain_path_is_resolved_against_the_base(uri: str, want: str) -> None:
    assert resolve_uri(uri, base="/home/me") == want


def test_every_uri_of_a_job_is_resolved() -> None:
    job = make_job(
        dataset__train__uri="a.jsonl",
        dataset__validation__uri="b.jsonl",
        dataset__test__uri="c.jsonl",
        teacher__model__uri="t",
        students__0__model__uri="s",
        storage__uri="store",
    )
    spec = resolve_uris(job, base="/w").spec
    found = [
        spec.dataset.train.uri,
        spec.dataset.validation.uri,
        spec.dataset.test.uri,
        spec.teacher.model.uri,
        spec.students[0].model.uri,
        spec.storage.uri,
    ]
    want = ["a.jsonl", "b.jsonl", "c.jsonl", "t", "s", "store"]
    assert found == [f"file:///w/{name}" for name in want]
    assert spec.dataset.train.fields == job.spec.dataset.train.fields
