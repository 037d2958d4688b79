"""Parts: their names, and which go above a limit."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_jobs.logs.parts import Limits, Part, choose_dropped, list_parts, part_name, share_out
from ray_jobs.storage.local import LocalStorage

LIMITS = Limits(part_bytes=10, log_bytes=40, pod_bytes=100)


def parts(*sizes: int) -> list[Part]:
    made, start = [], 0
    for size in sizes:
        made.append(Part(start=start, size_bytes=size))
        start += size
    return made


def starts(dropped: dict[str, list[Part]]) -> dict[str, list[int]]:
    return {log: [part.start for part in going] for log, going in dropped.items()}


def test_a_part_is_named_for_the_place_of_its_first_byte() -> None:
    assert part_name("train/a.log", 262144) == "train/a.log.000000000262144"


def test_parts_in_storage_are_read_back_by_their_names(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put_bytes("logs/pod/train/a.log.000000000000003", b"45")
    storage.put_bytes("logs/pod/train/a.log.000000000000000", b"123")
    storage.put_bytes("logs/pod/b.out.000000000000000", b"1")
    storage.put_bytes("logs/pod/somebody's.txt", b"1")
    storage.put_bytes("logs/pod-2/b.out.000000000000000", b"1")

    assert list_parts(storage, "logs/pod") == {"b.out": parts(1), "train/a.log": parts(3, 2)}


@pytest.mark.parametrize(
    ("sizes", "limit", "want"),
    [
        pytest.param([], 10, 10, id="none"),
        pytest.param([3, 3], 10, 10, id="all fit"),
        pytest.param([20, 20], 10, 5, id="alike"),
        pytest.param([1, 20, 20], 11, 5, id="small ones leave theirs"),
    ],
)
def test_room_is_shared_out_evenly(sizes: list[int], limit: int, want: int) -> None:
    assert share_out(sizes, limit) == want


@given(sizes=st.lists(st.integers(0, 1000), max_size=20), limit=st.integers(0, 5000))
def test_shares_are_within_the_limit_and_waste_little(sizes: list[int], limit: int) -> None:
    most = share_out(sizes, limit)
    together = sum(min(size, most) for size in sizes)
    assert together <= limit
    assert together == sum(sizes) or limit - together < len(sizes)


@pytest.mark.parametrize(
    ("logs", "want"),
    [
        pytest.param({"a": parts(10, 10, 10, 10)}, {}, id="within its limit"),
        pytest.param({"a": parts(10, 10, 10, 10, 1)}, {"a": [10]}, id="its second oldest"),
        pytest.param({"a": parts(10, 50, 50)}, {"a": [10, 0]}, id="its first before its newest"),
        pytest.param({"a": parts(90)}, {}, id="its newest stays"),
        pytest.param(
            {"a": parts(10, 10, 10, 10), "b": parts(10, 10, 10, 10), "c": parts(10, 10, 10, 10)},
            {"a": [10], "b": [10], "c": [10]},
            id="together too much",
        ),
        pytest.param(
            {"a": parts(10, 10, 10, 10), "b": parts(5), "c": parts(10, 10, 10, 10), "d": parts(9)},
            {},
            id="small ones leave room",
        ),
    ],
)
def test_the_oldest_but_the_first_go(
    logs: dict[str, list[Part]], want: dict[str, list[int]]
) -> None:
    assert starts(choose_dropped(logs, LIMITS)) == want
