"""When a step's records reach its ConfigMap: intervals, the outcome, failures, the fence."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.errors import InvariantError, TransientError
from distillery.progress import Outcome, OutcomeState, Phase, Progress, StepRecord, parse_record
from ray_jobs.progress import Reporter
from ray_jobs.progress_map import Intervals, ProgressMap, Writer, open_progress_map
from tests.servers.config_map import Answer, ConfigMapServer, running_config_maps

DONE = Outcome(state=OutcomeState.SUCCEEDED, summary={"rows": 3})
WRITER = Writer(attempt=2, submission_id="sums-prepa-1-2")


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Key:
    """Keeps records, or fails as often as it is told to."""

    def __init__(self) -> None:
        self.records: list[StepRecord] = []
        self.failures: list[Exception] = []
        self.is_fenced = False
        self.num_tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def write(self, record: StepRecord) -> bool:
        self.gate.wait()
        self.num_tries += 1
        if self.failures:
            raise self.failures.pop(0)
        if not self.is_fenced:
            self.records.append(record)
        return not self.is_fenced


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key() -> Key:
    return Key()


@pytest.fixture
def sink(key: Key, clock: Clock) -> ProgressMap:
    """Without a thread: the test says when it looks."""
    return ProgressMap(key, writer=WRITER, clock=clock, draw=lambda: 1.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConfigMapServer]:
    with running_config_maps(tmp_path) as server:
        yield server


def refusal(delay_s: float = 0.0) -> TransientError:
    return TransientError("configmap: refused", reason="ProgressUnwritten", delay_s=delay_s)


def environment(server: ConfigMapServer) -> dict[str, str]:
    host, _, port = server.url.removeprefix("https://").rpartition(":")
    return {
        "DISTILLERY_PROGRESS_CONFIG_MAP": "sums-progress",
        "DISTILLERY_NAMESPACE": "team",
        "DISTILLERY_STEP": "train-small",
        "DISTILLERY_ATTEMPT": "2",
        "DISTILLERY_SUBMISSION_ID": "sums-train-1-2",
        "DISTILLERY_SERVICE_ACCOUNT_DIR": str(server.account),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
    }


def stored(server: ConfigMapServer) -> StepRecord:
    return StepRecord.model_validate_json(server.data["train-small"])


def works(key: Key) -> list[int]:
    return [record.progress.work for record in key.records if record.progress]


def test_nothing_is_written_before_there_is_something_to_say(sink: ProgressMap, key: Key) -> None:
    sink.step()
    assert (key.num_tries, sink.due_in_s() > 60) == (0, True)


def test_the_first_record_is_written_at_once(sink: ProgressMap, key: Key) -> None:
    sink.show(Progress(phase=Phase.STARTING, beat=1))
    sink.step()

    assert key.records == [
        StepRecord(
            attempt=2,
            submission_id="sums-prepa-1-2",
            progress=Progress(phase=Phase.STARTING, beat=1),
        )
    ]


def test_what_changes_is_written_every_ten_seconds_and_only_the_newest(
    sink: ProgressMap, key: Key, clock: Clock
) -> None:
    for second in range(31):
        sink.show(Progress(beat=second, work=second))
        sink.step()
        clock.now_s += 1

    assert works(key) == [0, 10, 20, 30]


def test_what_stands_still_is_written_every_minute_with_a_growing_beat(
    sink: ProgressMap, key: Key, clock: Clock
) -> None:
    for second in range(181):
        if second < 100:  # Records that differ in nothing but the beat.
            sink.show(Progress(beat=second, work=5))
        sink.step()
        clock.now_s += 1

    assert works(key) == [5, 5, 5, 5]
    beats = [record.progress.beat for record in key.records if record.progress]
    assert beats == sorted(set(beats))


def test_a_change_after_a_long_stand_is_written_at_once(
    sink: ProgressMap, key: Key, clock: Clock
) -> None:
    sink.show(Progress(work=1))
    sink.step()
    clock.now_s += 30
    sink.show(Progress(work=2))
    assert sink.due_in_s() <= 0


def test_the_outcome_is_not_held_back(sink: ProgressMap, key: Key, clock: Clock) -> None:
    sink.show(Progress(work=1))
    sink.step()
    sink.end(Progress(work=2), DONE)
    sink.step()

    assert key.records[-1].outcome == DONE
    assert works(key) == [1, 2]


def test_after_the_outcome_nothing_is_written(sink: ProgressMap, key: Key, clock: Clock) -> None:
    sink.end(Progress(work=2), DONE)
    sink.step()
    sink.show(Progress(work=3))
    clock.now_s += 100
    sink.step()

    assert works(key) == [2]


def test_failures_are_tried_again_ever_more_rarely(
    sink: ProgressMap, key: Key, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key.failures = [refusal() for _ in range(7)]
    sink.show(Progress(work=1))
    waits = []
    with caplog.at_level(logging.INFO):
        for _ in range(7):
            sink.step()
            waits.append(sink.due_in_s())
            clock.now_s += sink.due_in_s()
        sink.step()

    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert works(key) == [1]
    assert [record.getMessage() for record in caplog.records] == [
        "progress isn't written, it is tried again message=configmap: refused",
        "progress is written again failures=7",
    ]


@pytest.mark.parametrize(("asked_s", "want_s"), [(12.0, 12.0), (0.5, 1.0), (3600.0, 60.0)])
def test_the_server_s_retry_after_is_honoured_up_to_a_minute(
    sink: ProgressMap, key: Key, asked_s: float, want_s: float
) -> None:
    key.failures = [refusal(asked_s)]
    sink.show(Progress(work=1))
    sink.step()
    assert sink.due_in_s() == want_s


@pytest.mark.parametrize(("asked_s", "want_s"), [(12.0, 12.0), (0.0, 0.0)])
def test_the_outcome_waits_for_the_server_s_word_but_not_for_our_own_backoff(
    sink: ProgressMap, key: Key, clock: Clock, asked_s: float, want_s: float
) -> None:
    key.failures = [refusal(), refusal(), refusal(asked_s)]
    sink.show(Progress(work=1))
    for _ in range(3):
        clock.now_s += max(0.0, sink.due_in_s())
        sink.step()
    sink.end(Progress(work=2), DONE)
    assert max(0.0, sink.due_in_s()) == want_s
    clock.now_s += want_s
    sink.step()

    assert key.records[-1].outcome == DONE


def test_a_fenced_writer_stops_for_good(
    sink: ProgressMap, key: Key, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key.is_fenced = True
    sink.show(Progress(work=1))
    sink.step()
    clock.now_s += 100
    sink.step()
    sink.close(Progress(work=2), DONE)  # Returns at once.

    assert (key.records, key.num_tries) == ([], 1)
    assert "a later attempt writes here now attempt=2" in caplog.text


def test_an_outcome_that_can_t_be_written_is_given_up_in_the_end(
    key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    key.failures = [refusal(60.0)] * 9
    sink = ProgressMap(key, writer=WRITER, intervals=Intervals(outcome_s=0.1))
    sink.start()
    sink.close(Progress(), DONE)

    assert key.records == []
    assert "outcome isn't written and counts as lost waited_s=0.1" in caplog.text


def test_a_bug_in_writing_doesn_t_end_it(key: Key) -> None:
    key.failures = [ZeroDivisionError()]
    sink = ProgressMap(key, writer=WRITER, intervals=Intervals(max_backoff_s=0.01))
    sink.start()
    sink.close(Progress(), DONE)

    assert [record.outcome for record in key.records] == [DONE]


def test_a_slow_server_blocks_no_one_but_the_outcome(key: Key) -> None:
    key.gate.clear()
    sink = ProgressMap(key, writer=WRITER)
    sink.start()
    for work in range(100):
        sink.show(Progress(work=work))
    assert key.num_tries == 0
    key.gate.set()
    sink.close(Progress(work=100), DONE)

    assert works(key)[-1] == 100
    assert len(key.records) <= 2


def test_a_process_without_a_config_map_has_no_sink() -> None:
    assert open_progress_map({}) is None


@pytest.mark.parametrize(
    ("variable", "value", "want"),
    [
        (name, "", f"{name}: must be set beside DISTILLERY_PROGRESS_CONFIG_MAP, got nothing")
        for name in (
            "DISTILLERY_NAMESPACE",
            "DISTILLERY_STEP",
            "DISTILLERY_ATTEMPT",
            "DISTILLERY_SUBMISSION_ID",
            "KUBERNETES_SERVICE_HOST",
            "KUBERNETES_SERVICE_PORT",
        )
    ]
    + [("DISTILLERY_ATTEMPT", "two", "DISTILLERY_ATTEMPT: must be a number, got 'two'")],
)
def test_half_an_environment_is_told(
    server: ConfigMapServer, variable: str, value: str, want: str
) -> None:
    with pytest.raises(InvariantError) as caught:
        open_progress_map(environment(server) | {variable: value})
    assert caught.value.message == want


def test_a_reporter_s_records_arrive_at_the_api_server(
    server: ConfigMapServer, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(sink=open_progress_map(environment(server)))
    reporter.begin("rows", total=8, unit="rows", phase=Phase.LOADING_WEIGHTS)
    server.wait_for(lambda: "train-small" in server.data)
    begun = stored(server)
    server.answers = [Answer(status=503)]
    reporter.update(8, work=40)
    reporter.finish(DONE)

    assert (begun.attempt, begun.submission_id) == (2, "sums-train-1-2")
    assert begun.progress is not None
    assert (begun.progress.phase, begun.progress.total) == (Phase.LOADING_WEIGHTS, 8)
    assert begun.outcome is None
    ended = stored(server)
    assert ended.outcome == DONE
    assert ended.progress is not None
    assert (ended.progress.done, ended.progress.work) == (8, 40)
    # The log says what it said without the sink.
    lines = [parse_record(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == DONE
    assert lines[-2] == ended.progress


def test_the_largest_outcome_stays_small() -> None:
    record = StepRecord(
        attempt=999,
        submission_id="s" * 47,
        progress=Progress(label="x" * 60),
        outcome=DONE.model_copy(update={"summary": {"a": "x" * 8183}, "message": "m" * 256}),
    )
    assert len(json.dumps(record.dump())) < 10_000
