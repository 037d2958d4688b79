"""A driver's log is copied byte for byte, and its last records are known."""

from pathlib import Path

from controller.launchers.driver_log import DriverLog, FetchedLogSource, LocalLogSource
from distillery.progress import Outcome, OutcomeState, Progress, outcome_line, progress_line


def test_a_local_log_is_followed_through_lines_cut_in_two(tmp_path: Path) -> None:
    source, copy = tmp_path / "driver.log", tmp_path / "logs" / "generate-1.log"
    log = DriverLog(LocalLogSource(source), copy=copy)
    log.follow()
    assert copy.read_bytes() == b""
    line = progress_line(Progress(done=3, total=9)).encode()
    with source.open("ab", buffering=0) as file:
        file.write(b"plain\n" + line[:30])
        log.follow()
        assert log.progress is None
        file.write(line[30:] + b"\n" + outcome_line(Outcome(state=OutcomeState.FAILED)).encode())
    log.follow()
    assert log.progress == Progress(done=3, total=9)
    assert log.outcome is None
    log.follow(to_end=True)
    assert log.outcome == Outcome(state=OutcomeState.FAILED)
    assert copy.read_bytes() == source.read_bytes()


def test_a_fetched_log_is_fetched_the_more_rarely_the_longer_it_is(tmp_path: Path) -> None:
    now = [0.0]
    text = ["x" * 400_000 + "\n"]
    fetches: list[float] = []

    def fetch() -> str:
        fetches.append(now[0])
        return text[0]

    source = FetchedLogSource(fetch, clock=lambda: now[0])
    log = DriverLog(source, copy=tmp_path / "copy.log")
    for now[0] in (0.0, 1.0, 1.9, 2.1):
        log.follow()
    assert fetches == [0.0, 2.1]
    text[0] += progress_line(Progress(done=1))
    log.follow(to_end=True)
    assert log.progress == Progress(done=1)
    assert (tmp_path / "copy.log").read_text() == text[0]
