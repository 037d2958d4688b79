"""Events: what is written, counted up, held back, dropped; and nobody waits for them."""

import itertools
import threading
from dataclasses import dataclass, field, replace

import pytest

from controller.kube.api import Json
from controller.kube.faults import ForbiddenError, UnreachableError
from controller.kube.resources import EVENTS, Resource
from controller.runtime.event_series import EventLimits, Occurrence, Regarding, Reporter, shorten
from controller.runtime.recorder import EventRecorder, RecorderLimits, RecorderStats
from tests.doubles.api_server import START_S, ApiServer, Verb
from tests.doubles.clock import PATIENCE_S, VirtualClock

JOB = Regarding(
    api_version="distillery.dev/v1alpha1",
    kind="DistillationJob",
    namespace="default",
    name="tiny",
    uid="u-1",
)
STARTED = Occurrence(
    regarding=JOB, type="Normal", reason="StepStarted", action="Start", note="prepare: started"
)


@dataclass(kw_only=True)
class Bench:
    """A recorder on a server in memory. Names count up; dates follow the clock."""

    limits: RecorderLimits = field(default_factory=RecorderLimits)
    clock: VirtualClock = field(default_factory=VirtualClock)
    server: ApiServer = field(default_factory=ApiServer)
    recorder: EventRecorder = field(init=False)

    def __post_init__(self) -> None:
        started = self.clock.now()
        numbers = itertools.count()
        self.recorder = EventRecorder(
            self.server,
            reporter=Reporter(controller="distillery.dev/controller", instance="pod-0"),
            clock=self.clock,
            wall=lambda: START_S + self.clock.now() - started,
            limits=self.limits,
            new_id=lambda: f"{next(numbers):x}",
        )

    def tell(self, *occurrences: Occurrence) -> None:
        for occurrence in occurrences:
            self.recorder.record(occurrence)
        while self.recorder.step() is not None:
            pass

    @property
    def events(self) -> list[Json]:
        return self.server.objects(EVENTS)

    @property
    def counts(self) -> dict[str, int]:
        """Name of each event to how often it was said."""
        return {
            event["metadata"]["name"]: event.get("series", {}).get("count", 1)
            for event in self.events
        }


def numbered(num: int, *, about: Regarding = JOB) -> list[Occurrence]:
    return [replace(STARTED, regarding=about, note=f"note {number}") for number in range(num)]


def unreachable(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception:
    return UnreachableError("api server: no answer", reason="Timeout", delay_s=3)


def test_event_has_all_that_the_api_wants() -> None:
    bench = Bench()
    bench.tell(STARTED)
    (event,) = bench.events
    metadata = event.pop("metadata")
    assert (metadata["namespace"], metadata["name"]) == ("default", "tiny.0")
    assert event == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "distillery.dev/controller",
        "reportingInstance": "pod-0",
        "type": "Normal",
        "reason": "StepStarted",
        "action": "Start",
        "note": "prepare: started",
        "regarding": {
            "apiVersion": "distillery.dev/v1alpha1",
            "kind": "DistillationJob",
            "namespace": "default",
            "name": "tiny",
            "uid": "u-1",
        },
    }


def test_same_thing_again_counts_up_its_event() -> None:
    bench = Bench()
    bench.tell(STARTED)
    bench.clock.advance(60)
    bench.tell(STARTED, STARTED)
    (event,) = bench.events
    want = {"count": 3, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}
    assert event["series"] == want
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(STARTED, note="another"), id="note"),
        pytest.param(replace(STARTED, reason="StepDone"), id="reason"),
        pytest.param(replace(STARTED, type="Warning"), id="type"),
        pytest.param(replace(STARTED, regarding=replace(JOB, uid="u-2")), id="object"),
    ],
)
def test_another_thing_is_another_event(other: Occurrence) -> None:
    bench = Bench()
    bench.tell(STARTED, other, STARTED)
    assert bench.counts == {"tiny.0": 2, "tiny.1": 1}


def test_same_thing_long_after_is_a_new_event() -> None:
    bench = Bench()
    bench.tell(STARTED)
    bench.clock.advance(1801)
    bench.tell(STARTED)
    assert bench.counts == {"tiny.0": 1, "tiny.1": 1}


def test_event_that_the_server_has_dropped_is_begun_anew() -> None:
    bench = Bench()
    bench.tell(STARTED)
    uid = bench.events[0]["metadata"]["uid"]
    bench.server.delete(EVENTS, namespace="default", name="tiny.0", uid=uid)
    bench.tell(STARTED, STARTED)
    assert bench.counts == {"tiny.1": 2}


def test_object_about_which_too_much_is_said_is_cut_short_and_others_are_not() -> None:
    bench = Bench()
    other = replace(JOB, name="other", uid="u-2")
    bench.tell(*numbered(40), *numbered(3, about=other))
    assert len(bench.events) == 28
    assert bench.recorder.stats == RecorderStats(num_written=28, num_spam=15)
    bench.clock.advance(299)
    bench.tell(STARTED)
    assert len(bench.events) == 28
    bench.clock.advance(1)
    bench.tell(STARTED)
    assert len(bench.events) == 29


def test_only_the_latest_objects_and_events_are_remembered() -> None:
    bench = Bench(limits=RecorderLimits(events=EventLimits(burst=1, num_remembered=2)))
    about = [replace(JOB, uid=f"u-{number}") for number in range(3)]
    first, second, third = (replace(STARTED, regarding=each) for each in about)
    bench.tell(first, second, first, third, second)
    assert bench.recorder.stats == RecorderStats(num_written=4, num_spam=1)


def test_full_queue_drops_and_counts() -> None:
    bench = Bench(limits=RecorderLimits(capacity=2))
    for occurrence in numbered(5):
        bench.recorder.record(occurrence)
    assert bench.recorder.stats == RecorderStats(num_without_room=3, num_waiting=2)
    bench.tell()
    assert [event["note"] for event in bench.events] == ["note 0", "note 1"]


def test_unreachable_server_is_tried_again_and_then_given_up() -> None:
    bench = Bench()
    bench.server.fault = unreachable
    bench.recorder.record(STARTED)
    assert [bench.recorder.step() for _ in range(5)] == [3, 3, 3, 0, None]
    assert bench.recorder.stats == RecorderStats(num_failed=1)
    bench.server.fault = None
    bench.tell(STARTED)
    assert bench.counts == {"tiny.1": 1}


def test_event_written_after_a_failure_has_the_time_it_happened() -> None:
    bench = Bench()
    bench.server.fault = unreachable
    bench.recorder.record(STARTED)
    assert bench.recorder.step() == 3
    bench.clock.advance(3)
    bench.server.fault = None
    bench.tell()
    assert [event["eventTime"] for event in bench.events] == ["2026-01-01T00:00:00.000000Z"]
    assert bench.counts == {"tiny.0": 1}


def test_event_whose_answer_was_lost_is_there_once() -> None:
    bench = Bench()
    bench.server.lost_answer = unreachable
    bench.recorder.record(STARTED)
    assert bench.recorder.step() == 3
    bench.server.lost_answer = None
    bench.tell()
    assert bench.counts == {"tiny.0": 1}
    assert bench.recorder.stats == RecorderStats(num_written=1)


def test_refused_event_is_dropped_at_once() -> None:
    bench = Bench()
    bench.server.fault = lambda *request: ForbiddenError("no", reason="Forbidden", status_code=403)
    bench.tell(STARTED)
    assert bench.recorder.stats == RecorderStats(num_failed=1)


def test_long_words_are_cut_to_what_the_api_takes() -> None:
    occurrence = shorten(replace(STARTED, reason="R" * 200, action="A" * 200, note="x" + "ü" * 600))
    assert (len(occurrence.reason), len(occurrence.action)) == (128, 128)
    assert occurrence.note == "x" + "ü" * 510 + "..."
    assert len(occurrence.note.encode()) == 1024
    assert shorten(STARTED) == STARTED


def test_name_of_an_event_is_no_longer_than_a_name_may_be() -> None:
    bench = Bench()
    bench.tell(replace(STARTED, regarding=replace(JOB, name="n" * 253)))
    assert bench.events[0]["metadata"]["name"] == "n" * 251 + ".0"


def test_thread_writes_while_the_caller_goes_on() -> None:
    bench = Bench()
    hangs, may_end = threading.Event(), threading.Event()

    def hang(verb: Verb, resource: Resource, namespace: str, name: str) -> None:
        hangs.set()
        assert may_end.wait(PATIENCE_S)

    bench.server.fault = hang
    bench.recorder.start()
    for occurrence in numbered(3):
        bench.recorder.record(occurrence)
    assert hangs.wait(PATIENCE_S)
    assert bench.recorder.stop(timeout_s=0) is False
    may_end.set()
    assert bench.recorder.stop(timeout_s=PATIENCE_S)
    assert [event["note"] for event in bench.events] == ["note 0", "note 1", "note 2"]
    bench.recorder.record(STARTED)
    assert bench.recorder.stats == RecorderStats(num_written=3, num_without_room=1)


def test_thread_waits_between_tries() -> None:
    bench = Bench()
    bench.server.fault = unreachable
    bench.recorder.start()
    bench.recorder.record(STARTED)
    bench.clock.wait_for_waiters(1, until=bench.clock.now() + 3)
    bench.server.fault = None
    bench.clock.advance(3)
    bench.clock.wait_for_waiters(1, beyond=bench.clock.now())
    assert bench.counts == {"tiny.0": 1}
    assert bench.recorder.stop(timeout_s=PATIENCE_S)


def test_stop_tries_each_waiting_event_once_more_only() -> None:
    bench = Bench()
    bench.server.fault = unreachable
    bench.recorder.start()
    for occurrence in numbered(3):
        bench.recorder.record(occurrence)
    assert bench.recorder.stop(timeout_s=PATIENCE_S)
    assert bench.recorder.stats == RecorderStats(num_failed=3)


def test_bug_with_one_event_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def break_first(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception | None:
        return KeyError("bug") if name == "tiny.0" else None

    bench.server.fault = break_first
    bench.recorder.start()
    for occurrence in numbered(2):
        bench.recorder.record(occurrence)
    assert bench.recorder.stop(timeout_s=PATIENCE_S)
    assert bench.counts == {"tiny.1": 1}
    assert bench.recorder.stats == RecorderStats(num_written=1, num_failed=1)
    assert "event recorder met a bug" in caplog.text
