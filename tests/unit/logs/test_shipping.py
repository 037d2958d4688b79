"""Rounds over real files into real storage: growth, rotation, restarts, limits, faults."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.errors import ExternalError
from ray_jobs.logs.parts import Limits
from ray_jobs.logs.shipper import Shipper
from ray_jobs.storage.base import Storage, StoredObject
from ray_jobs.storage.local import LocalStorage

PREFIX = "jobs/team/sums/train/attempts/1-2/logs/pod"
DRIVER = "job-driver-sums.log"
LIMITS = Limits(part_bytes=10, log_bytes=40, pod_bytes=80)


class BrokenStorage(LocalStorage):
    """Refuses its first writes."""

    def __init__(self, root: Path, *, num_refusals: int) -> None:
        super().__init__(root)
        self.num_refusals = num_refusals

    def put_bytes(self, key: str, data: bytes) -> StoredObject:
        if self.num_refusals:
            self.num_refusals -= 1
            raise ExternalError(f"{key}: refused", reason="StorageFailed")
        return super().put_bytes(key, data)


class Pod:
    """A pod's log folder and its storage."""

    def __init__(self, root: Path) -> None:
        self.session = root / "session_1"
        self.logs = self.session / "logs"
        self.logs.mkdir(parents=True)
        self.latest = root / "session_latest"
        self.latest.symlink_to(self.session)
        self.storage: Storage = LocalStorage(root / "store")

    def say(self, text: str, name: str = DRIVER) -> None:
        with (self.logs / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def rotate(self, name: str = DRIVER) -> None:
        """As Python's rotating handler does."""
        files = sorted(self.logs.glob(f"{name}.*"), key=lambda path: -int(path.suffix[1:]))
        for path in files:
            path.rename(self.logs / f"{name}.{int(path.suffix[1:]) + 1}")
        (self.logs / name).rename(self.logs / f"{name}.1")

    def shipper(self, limits: Limits = LIMITS) -> Shipper:
        return Shipper(
            self.latest / "logs", open_storage=lambda: self.storage, prefix=PREFIX, limits=limits
        )

    def parts(self, name: str = DRIVER) -> dict[int, str]:
        head = f"{PREFIX}/{name}."
        return {
            int(stored.key.removeprefix(head)): self.storage.get_bytes(stored.key).decode()
            for stored in self.storage.list(head)
        }

    def shipped(self, name: str = DRIVER) -> str:
        return "".join(self.parts(name).values())


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_what_is_new_goes_up_and_nothing_twice(pod: Pod) -> None:
    shipper = pod.shipper()
    pod.say("one,")
    assert shipper.ship() == 4
    assert shipper.ship() == 0
    pod.say("two,")
    pod.say("out", "worker-a-01-7.out")
    assert shipper.ship() == 7

    assert (pod.shipped(), pod.shipped("worker-a-01-7.out")) == ("one,two,", "out")


def test_the_last_part_grows_until_it_is_full_and_then_stays(pod: Pod) -> None:
    shipper = pod.shipper()
    for text in ("0123", "4567", "89abcd", "ef"):
        pod.say(text)
        shipper.ship()

    assert pod.parts() == {0: "0123456789", 10: "abcdef"}


def test_a_long_piece_is_cut_into_parts(pod: Pod) -> None:
    pod.say("0123456789" * 3 + "end")
    pod.shipper().ship()
    assert pod.parts() == {0: "0123456789", 10: "0123456789", 20: "0123456789", 30: "end"}


def test_a_rotated_log_goes_on_where_it_was(pod: Pod) -> None:
    shipper = pod.shipper()
    pod.say("one,")
    shipper.ship()
    pod.say("two,")
    pod.rotate()
    pod.say("three,")
    pod.rotate()
    pod.say("four,")
    assert shipper.ship() == 15

    assert pod.shipped() == "one,two,three,four,"


def test_a_log_that_was_emptied_begins_anew_in_a_part_of_its_own(pod: Pod) -> None:
    shipper = pod.shipper()
    pod.say("one,two,")
    shipper.ship()
    (pod.logs / DRIVER).write_text("three,")
    shipper.ship()
    assert pod.parts() == {0: "one,two,", 8: "three,"}


def test_another_session_s_log_goes_on_in_the_same_parts(pod: Pod) -> None:
    shipper = pod.shipper()
    pod.say("one,", "raylet.out")
    shipper.ship()
    pod.latest.unlink()
    assert shipper.ship() == 0  # Ray is starting again.
    other = pod.session.parent / "session_2" / "logs"
    other.mkdir(parents=True)
    (other / "raylet.out").write_text("two,")
    pod.latest.symlink_to(other.parent)
    shipper.ship()
    assert pod.parts("raylet.out") == {0: "one,", 4: "two,"}


def test_a_session_may_appear_later(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "store")
    folder = tmp_path / "session_latest" / "logs"
    shipper = Shipper(folder, open_storage=lambda: storage, prefix=PREFIX)
    assert shipper.ship() == 0
    folder.mkdir(parents=True)
    (folder / "raylet.err").write_text("x")
    assert shipper.ship() == 1


def rotate_and_say(pod: Pod) -> None:
    pod.say("B")
    pod.rotate()
    pod.say("C")


@pytest.mark.parametrize(
    ("meanwhile", "want_new"),
    [
        pytest.param(lambda pod: None, "", id="nothing"),
        pytest.param(lambda pod: pod.say("B"), "B", id="more"),
        pytest.param(rotate_and_say, "BC", id="rotated"),
        pytest.param(lambda pod: pod.rotate(), "", id="rotated and still silent"),
    ],
)
@pytest.mark.parametrize("before", ["one,", "0123456789", "0123456789abc", "0123456789" * 3 + "a"])
def test_a_shipper_that_starts_again_goes_on_where_the_former_ended(
    pod: Pod, before: str, meanwhile: Callable[[Pod], None], want_new: str
) -> None:
    pod.say(before)
    pod.shipper().ship()
    meanwhile(pod)
    again = pod.shipper()

    assert again.ship() == len(want_new)
    assert pod.shipped() == before + want_new
    pod.say("end")
    again.ship()
    assert pod.shipped() == before + want_new + "end"


def test_a_shipper_that_starts_again_finds_its_place_in_a_log_rotated_before(pod: Pod) -> None:
    first = pod.shipper()
    pod.say("0123456789one,")
    first.ship()
    pod.rotate()
    pod.say("two,")
    first.ship()
    pod.say("three,")
    assert pod.shipper().ship() == 6
    assert pod.shipped() == "0123456789one,two,three,"


def test_a_log_that_is_no_longer_the_one_shipped_begins_a_new_part(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    pod.say("one,")
    pod.shipper().ship()
    (pod.logs / DRIVER).write_text("other")
    shipper = pod.shipper()
    assert shipper.ship() == 5
    pod.say(", and so on")
    shipper.ship()

    assert pod.parts() == {0: "one,", 4: "other, and", 14: " so on"}
    assert "log isn't the one shipped before, it is shipped anew log=job-driver" in caplog.text


def test_above_its_limit_a_log_keeps_its_first_part_and_its_newest(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = pod.shipper()
    with caplog.at_level(logging.INFO):
        for number in range(8):
            pod.say(f"{number}" * 10)
            shipper.ship()

    assert sorted(pod.parts()) == [0, 50, 60, 70]
    assert pod.parts()[70] == "7" * 10
    assert f"parts are dropped to stay within the limit log={DRIVER} parts=1 bytes=10" in (
        caplog.messages
    )


def test_a_log_that_grows_faster_than_its_limit_is_not_sent_in_vain(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    pod.say("".join(f"{number % 10}" * 10 for number in range(100)))
    with caplog.at_level(logging.INFO):
        pod.shipper().ship()

    assert sorted(pod.parts()) == [0, 970, 980, 990]
    assert pod.parts()[990] == "9" * 10
    assert f"a piece of the log is dropped log={DRIVER} bytes=950" in caplog.messages


def test_after_a_drop_a_shipper_that_starts_again_goes_on(pod: Pod) -> None:
    pod.say("".join(f"{number:09d}\n" for number in range(100)) + "half")
    pod.shipper().ship()
    pod.say(" end\n")
    pod.shipper().ship()

    assert pod.shipped().endswith("000000099\nhalf end\n")
    assert max(pod.parts()) == 1004


def test_all_logs_of_a_pod_share_its_limit(pod: Pod) -> None:
    for number in range(5):
        pod.say("x" * 40, f"worker-{number}-01-7.out")
    pod.say("small", "raylet.err")
    pod.shipper().ship()

    total = sum(stored.size_bytes for stored in pod.storage.list(PREFIX))
    assert total <= LIMITS.pod_bytes
    assert pod.shipped("raylet.err") == "small"
    assert all(pod.shipped(f"worker-{number}-01-7.out") for number in range(5))


@pytest.mark.parametrize("num_refusals", [1, 2, 3])
def test_a_storage_fault_loses_and_repeats_nothing(
    pod: Pod, tmp_path: Path, caplog: pytest.LogCaptureFixture, num_refusals: int
) -> None:
    pod.storage = BrokenStorage(tmp_path / "store", num_refusals=num_refusals)
    shipper = pod.shipper()
    pod.say("0123456789" * 3)
    rounds = [shipper.ship() for _ in range(num_refusals + 1)]

    assert rounds == [None] * num_refusals + [30]
    assert pod.shipped() == "0123456789" * 3
    assert f"reason=StorageFailed message={PREFIX}" in caplog.text


def test_a_fault_while_pieces_are_dropped_leaves_the_numbers_right(
    pod: Pod, tmp_path: Path
) -> None:
    storage = pod.storage = BrokenStorage(tmp_path / "store", num_refusals=0)
    shipper = pod.shipper()
    pod.say("0" * 10)
    shipper.ship()
    storage.num_refusals = 2
    pod.say("".join(f"{number % 10}" * 10 for number in range(1, 100)))
    assert [shipper.ship(), shipper.ship()] == [None, None]
    shipper.ship()

    assert sorted(pod.parts()) == [0, 970, 980, 990]
    assert pod.parts()[990] == "9" * 10


def test_storage_that_can_t_be_opened_is_tried_again(pod: Pod) -> None:
    failures = [ExternalError("x: refused", reason="AccessDenied")]

    def open_storage() -> Storage:
        if failures:
            raise failures.pop()
        return pod.storage

    shipper = Shipper(pod.logs, open_storage=open_storage, prefix=PREFIX)
    pod.say("one")
    assert (shipper.ship(), shipper.ship()) == (None, 3)


def test_a_file_that_can_t_be_read_doesn_t_keep_the_others(
    pod: Pod, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod.say("one")
    pod.say("two", "raylet.out")
    open_ = Path.open

    def refuse(path: Path, *arguments: str, **named: str) -> object:
        if path.name == DRIVER and arguments == ("rb",):
            raise PermissionError
        return open_(path, *arguments, **named)  # type: ignore[call-overload]

    with monkeypatch.context() as context:
        context.setattr(Path, "open", refuse)
        assert pod.shipper().ship() == 3
    assert (pod.shipped(), pod.shipped("raylet.out")) == ("", "two")
    assert f"log can't be read log={DRIVER} error=PermissionError" in caplog.text
