"""What every ``Storage`` does, on a folder and on a real S3 server."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from distillery.errors import ExternalError, InvariantError
from ray_jobs.storage.base import Storage, StoredObject

SEVERAL_PARTS_BYTES = 11 << 20


def make_bytes(num_bytes: int, *, seed: int = 0) -> bytes:
    """Bytes that repeat nowhere, the same for the same seed."""
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(num_bytes)


def hex_sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_file(folder: Path, data: bytes, *, name: str = "source.bin") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def keys_of(storage: Storage, prefix: str = "") -> list[str]:
    return [stored.key for stored in storage.list(prefix)]


def test_bytes_come_back_as_they_were_put(storage: Storage) -> None:
    stored = storage.put_bytes("a/b.json", b"{}\n")
    assert storage.get_bytes("a/b.json") == b"{}\n"
    assert (stored.key, stored.size_bytes) == ("a/b.json", 3)
    assert stored.sha256 == hex_sha256(b"{}\n")
    assert stored.etag


@pytest.mark.parametrize("key", ["plain", "with space", "a=b/c+d%20#?&", "größe/日本", "a..b/.c"])
def test_any_key_names_one_object(storage: Storage, key: str) -> None:
    storage.put_bytes(key, b"x")
    assert keys_of(storage) == [key]
    assert storage.get_bytes(key) == b"x"


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a/..", ".distillery-tmp/a"]
)
def test_a_key_outside_the_key_space_is_a_bug(storage: Storage, key: str) -> None:
    with pytest.raises(InvariantError, match=r"^storage key: must be relative without empty, '\.'"):
        storage.put_bytes(key, b"x")


def test_an_empty_object_is_an_object(storage: Storage, tmp_path: Path) -> None:
    storage.put_bytes("empty", b"")
    assert storage.get_bytes("empty") == b""
    assert keys_of(storage) == ["empty"]
    storage.get_file("empty", tmp_path / "copy", sha256=hex_sha256(b""))
    assert (tmp_path / "copy").read_bytes() == b""


def test_put_bytes_replaces_what_is_there(storage: Storage) -> None:
    first = storage.put_bytes("k", b"first")
    second = storage.put_bytes("k", b"second")
    assert storage.get_bytes("k") == b"second"
    assert first.etag != second.etag


def test_put_new_writes_only_where_the_key_is_free(storage: Storage) -> None:
    assert storage.put_new("claims/1", b"first") is True
    assert storage.put_new("claims/1", b"second") is False
    assert storage.get_bytes("claims/1") == b"first"


def test_of_eight_racing_creators_exactly_one_wins_each_key(storage: Storage) -> None:
    num_threads, num_keys = 8, 20
    starts = [Barrier(num_threads) for _ in range(num_keys)]

    def create(key: int, thread: int) -> bool:
        starts[key].wait(timeout=60)
        return storage.put_new(f"race/{key:02}", f"{thread}".encode())

    with ThreadPoolExecutor(num_threads * num_keys) as pool:
        won = {
            (key, thread): pool.submit(create, key, thread)
            for key in range(num_keys)
            for thread in range(num_threads)
        }
    for key in range(num_keys):
        winners = [thread for thread in range(num_threads) if won[key, thread].result()]
        assert len(winners) == 1
        assert storage.get_bytes(f"race/{key:02}") == f"{winners[0]}".encode()


@pytest.mark.parametrize("num_bytes", [0, 1000, SEVERAL_PARTS_BYTES], ids=["empty", "one", "parts"])
def test_a_file_comes_back_whole_with_its_sha256(
    storage: Storage, tmp_path: Path, num_bytes: int
) -> None:
    data = make_bytes(num_bytes)
    sent: list[int] = []
    stored = storage.put_file("w/model.bin", make_file(tmp_path, data), on_bytes=sent.append)
    assert stored.sha256 == hex_sha256(data)
    assert stored.size_bytes == sum(sent) == num_bytes
    got: list[int] = []
    copy = tmp_path / "new folder" / "copy.bin"
    storage.get_file("w/model.bin", copy, sha256=stored.sha256, on_bytes=got.append)
    assert copy.read_bytes() == data
    assert sum(got) == num_bytes
    assert list(copy.parent.iterdir()) == [copy]


def test_stat_tells_size_and_etag_of_what_was_put(storage: Storage, tmp_path: Path) -> None:
    small = storage.put_bytes("small", b"abc")
    large = storage.put_file("large", make_file(tmp_path, make_bytes(SEVERAL_PARTS_BYTES)))
    for want in (small, large):
        got = storage.stat(want.key)
        assert got is not None
        assert (got.size_bytes, got.etag) == (want.size_bytes, want.etag)
        assert got.sha256 in (None, want.sha256)


def test_stat_of_a_missing_object_is_none(storage: Storage) -> None:
    storage.put_bytes("a/b", b"x")
    assert storage.stat("a/c") is None
    assert storage.stat("a") is None


def test_reading_a_missing_object_says_so(storage: Storage, tmp_path: Path) -> None:
    storage.put_bytes("a/b", b"x")
    for read in (
        lambda: storage.get_bytes("a/c"),
        lambda: storage.get_file("a/c", tmp_path / "copy"),
        lambda: storage.open_read("a/c"),
    ):
        with pytest.raises(ExternalError, match=r"a/c: no such object; check the name") as caught:
            read()
        assert caught.value.reason == "ObjectMissing"
    assert not (tmp_path / "copy").exists()


def test_get_file_refuses_other_bytes_and_leaves_the_old_file(
    storage: Storage, tmp_path: Path
) -> None:
    storage.put_bytes("k", b"damaged")
    copy = make_file(tmp_path, b"old", name="copy")
    with pytest.raises(ExternalError, match=r"k: content must have sha256 .{12}, got") as caught:
        storage.get_file("k", copy, sha256=hex_sha256(b"right"))
    assert caught.value.reason == "ChecksumMismatch"
    assert copy.read_bytes() == b"old"
    assert list(tmp_path.glob(".*.part")) == []


def test_a_stream_reads_and_seeks(storage: Storage) -> None:
    data = make_bytes(3 << 20)
    storage.put_bytes("k", data)
    with storage.open_read("k") as stream:
        assert stream.read(10) == data[:10]
        assert stream.seek(-7, 2) == len(data) - 7
        assert stream.read() == data[-7:]
        assert stream.seek(1 << 20) == 1 << 20
        assert stream.read(5) == data[1 << 20 : (1 << 20) + 5]
        assert stream.seek(0) == 0
        assert stream.read() == data


def test_lines_can_be_read_from_a_stream(storage: Storage) -> None:
    storage.put_bytes("k.jsonl", b"1\n2\n3")
    with storage.open_read("k.jsonl") as stream:
        assert list(stream) == [b"1\n", b"2\n", b"3"]


def test_a_listing_has_every_object_below_the_prefix_in_key_order(storage: Storage) -> None:
    keys = ["a-b", "a/1", "a/b/c", "a/b0", "a0", "b/.hidden", "b/Z", "b/a"]
    for key in reversed(keys):
        storage.put_bytes(key, b"12")
    assert keys_of(storage) == keys
    assert keys_of(storage, "a/") == ["a/1", "a/b/c", "a/b0"]
    assert keys_of(storage, "a") == ["a-b", "a/1", "a/b/c", "a/b0", "a0"]
    assert keys_of(storage, "a/b/c") == ["a/b/c"]
    assert keys_of(storage, "nothing") == []
    listed = next(iter(storage.list("a/1")))
    assert listed == StoredObject(key="a/1", size_bytes=2, etag=listed.etag)
    stat = storage.stat("a/1")
    assert stat is not None
    assert listed.etag == stat.etag


def test_delete_removes_and_may_be_repeated(storage: Storage) -> None:
    storage.put_bytes("a/b", b"x")
    storage.delete("a/b")
    storage.delete("a/b")
    assert keys_of(storage) == []
    assert storage.put_new("a/b", b"y") is True


def test_uris_name_root_and_object(storage: Storage) -> None:
    assert not storage.uri.endswith("/")
    assert storage.uri_of("a/b") == f"{storage.uri}/a/b"
