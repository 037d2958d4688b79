"""The sidecar's rhythm, its environment, and the process itself up to SIGTERM."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from distillery.errors import InvariantError
from ray_jobs.logs.running import Destination, Rhythm, read_destination, ship_until
from ray_jobs.storage.local import LocalStorage
from tests.processes import REPOSITORY, wait_for

ENVIRONMENT = {
    "DISTILLERY_STORAGE_URI": "s3://models/x",
    "DISTILLERY_LOG_PREFIX": "jobs/team/sums/train/attempts/1-2/logs",
    "POD_NAME": "sums-train-1-2-head",
}
PREFIX = "jobs/team/sums/train/attempts/1-2/logs/sums-train-1-2-head"


class Rounds:
    """Answers rounds in turn; stops the loop during the round ``stop_in``."""

    def __init__(self, *results: int | Exception | None, stop_in: int = 1) -> None:
        self._results = list(results)
        self._stop_in = stop_in
        self.stop = threading.Event()
        self.num_rounds = 0
        self.now_s = 0.0

    def ship(self) -> int | None:
        self.num_rounds += 1
        if self.num_rounds == self._stop_in:
            self.stop.set()
        result = self._results.pop(0) if self._results else 0
        if isinstance(result, Exception):
            raise result
        return result

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def run(self) -> int:
        rhythm = Rhythm(interval_s=0, settle_s=2, grace_s=20)
        ship_until(self.ship, self.stop, rhythm=rhythm, clock=lambda: self.now_s, sleep=self.sleep)
        return self.num_rounds


def test_after_the_signal_there_is_a_last_round() -> None:
    assert Rounds(7, 0).run() == 2


def test_last_rounds_go_on_while_something_new_comes() -> None:
    rounds = Rounds(7, 5, 5, 0)
    assert (rounds.run(), rounds.now_s) == (4, 4)


def test_last_rounds_are_tried_again_where_storage_fails() -> None:
    assert Rounds(7, None, None, 3, 0).run() == 5


def test_last_rounds_end_with_the_grace_period() -> None:
    rounds = Rounds(*[1] * 100)
    rounds.run()
    assert rounds.now_s < 20


def test_a_bug_ends_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    assert Rounds(ZeroDivisionError(), 5, 0, stop_in=2).run() == 3
    assert "logs can't be shipped this time" in caplog.text


def test_the_destination_is_the_pod_s_environment() -> None:
    assert read_destination(ENVIRONMENT) == Destination(
        uri="s3://models/x", endpoint_url="", region="", credentials_ref="", prefix=PREFIX
    )
    full = ENVIRONMENT | {
        "DISTILLERY_STORAGE_ENDPOINT": "https://s3.example.com",
        "DISTILLERY_STORAGE_REGION": "eu-west-1",
        "DISTILLERY_STORAGE_CREDENTIALS": "bucket",
    }
    assert read_destination(full) == Destination(
        uri="s3://models/x",
        endpoint_url="https://s3.example.com",
        region="eu-west-1",
        credentials_ref="bucket",
        prefix=PREFIX,
    )


@pytest.mark.parametrize("variable", sorted(ENVIRONMENT))
def test_half_an_environment_is_told(variable: str) -> None:
    with pytest.raises(InvariantError) as caught:
        read_destination(ENVIRONMENT | {variable: ""})
    assert caught.value.message == f"{variable}: must be set for the log shipper, got nothing"


def test_the_process_ships_at_once_and_again_at_sigterm(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "job-driver-a.log"
    log.write_text("one,")
    storage = LocalStorage(tmp_path / "store")
    process = subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.logs", "--folder", str(folder)],
        cwd=REPOSITORY,
        env=ENVIRONMENT | {"DISTILLERY_STORAGE_URI": storage.uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    key = f"{PREFIX}/job-driver-a.log.000000000000000"
    try:
        wait_for(process, lambda: storage.stat(key) is not None, limit_s=60)
        with log.open("a") as file:
            file.write("two,")
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]
    finally:
        process.kill()
        process.wait()

    assert (process.returncode, output) == (0, "")
    assert storage.get_bytes(key) == b"one,two,"


def test_storage_that_never_answers_is_no_error_of_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "raylet.out").write_text("one,")
    (tmp_path / "file").write_text("")
    process = subprocess.Popen(
        [sys.executable, "-c", _IMPATIENT, str(folder)],
        cwd=REPOSITORY,
        env=ENVIRONMENT | {"DISTILLERY_STORAGE_URI": (tmp_path / "file" / "below").as_uri()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert "logs wait for the storage reason=StorageFailed message=file:///" in told
    assert process.returncode == 0


_IMPATIENT = """
import logging, os, sys
from pathlib import Path
from ray_jobs.logs.running import Rhythm, make_shipper, read_destination, run_until_terminated

logging.basicConfig()
shipper = make_shipper(read_destination(os.environ), folder=Path(sys.argv[1]))
run_until_terminated(shipper.ship, rhythm=Rhythm(settle_s=0.01, grace_s=0.1))
"""
