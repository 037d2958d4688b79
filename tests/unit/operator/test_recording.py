"""Only what has changed is written, and progress alone waits for its turn."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from controller.jobs.views import JobView, read_job
from controller.kube.resources import DISTILLATION_JOBS
from controller.operator.recording import (
    PROGRESS_WRITES_PER_S,
    StatusRecorder,
    merge_patch,
    without_progress,
)
from controller.runtime.buckets import TokenBucket
from distillery.conditions import ConditionStatus, ConditionType, Reason
from distillery.progress import Progress
from distillery.status import Condition, JobStatus, StageStatus, StepState
from distillery.steps import Stage
from tests.builders import make_document
from tests.doubles.api_server import ApiServer
from tests.doubles.clock import VirtualClock

values = st.recursive(
    st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("xyz"), values, max_size=3)


def apply(target: object, patch: object) -> object:
    """RFC 7386, as its text says it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@given(objects, objects)
def test_the_patch_makes_the_new_status_of_the_old(old: dict, new: dict) -> None:
    assert apply(old, merge_patch(old, new)) == new


@given(objects)
def test_nothing_changed_is_an_empty_patch(old: dict) -> None:
    assert merge_patch(old, old) == {}


def test_a_patch_names_what_has_changed_and_nothing_else() -> None:
    old = {"a": {"x": 1, "y": 2}, "b": [1], "c": 3}
    new = {"a": {"x": 1, "y": 5}, "b": [1], "d": 4}
    assert merge_patch(old, new) == {"a": {"y": 5}, "c": None, "d": 4}


def test_progress_and_summary_are_no_transition() -> None:
    old = {"stages": [{"stage": "train", "progress": {"done": 1}}], "summary": {"progress": "1%"}}
    new = {"stages": [{"stage": "train", "progress": {"done": 9}}], "summary": {"progress": "9%"}}
    assert without_progress(old) == without_progress(new)
    other = {"stages": [{"stage": "train", "state": "Done"}], "summary": {}}
    assert without_progress(old) != without_progress(other)


NAMESPACE, NAME = "default", "sums"


def make_status(*, done: int = 0, place: int = 0) -> JobStatus:
    """A status of a step that runs, or of a job that waits."""
    queue = f"waits to start, place {place} in the queue: 3 steps are active, the limit"
    admitted = Condition(
        type=ConditionType.ADMITTED,
        status=ConditionStatus.FALSE if place else ConditionStatus.TRUE,
        reason=Reason.THROTTLED if place else Reason.ADMITTED,
        message=queue if place else "",
        last_transition_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    stage = StageStatus(stage=Stage.TRAIN, state=StepState.RUNNING, progress=Progress(done=done))
    return JobStatus(conditions=(admitted,), stages=(stage,))


class Desk:
    """A recorder with one token for progress and one for places, and the server it writes to."""

    def __init__(self) -> None:
        clock = VirtualClock()
        self.server = ApiServer(now_s=clock.now, clock=clock)
        buckets = [TokenBucket(rate_per_s=0.001, burst=1, clock=clock.now) for _ in range(2)]
        self.recorder = StatusRecorder(
            self.server, progress_bucket=buckets[0], place_bucket=buckets[1]
        )
        document = make_document()
        document["metadata"]["namespace"] = NAMESPACE
        self.server.create(DISTILLATION_JOBS, document)

    def view(self) -> JobView:
        return read_job(self.server.fetch(DISTILLATION_JOBS, namespace=NAMESPACE, name=NAME))

    def record(self, status: JobStatus) -> float:
        return self.recorder.record(self.view(), status)


def test_progress_alone_waits_for_its_turn_and_a_transition_does_not() -> None:
    desk = Desk()
    assert desk.record(make_status(done=1)) == 0
    assert desk.record(make_status(done=2)) == 0
    assert desk.record(make_status(done=3)) == 1
    assert desk.view().status == make_status(done=2)
    assert desk.record(make_status(done=3, place=9)) == 0
    assert desk.view().status == make_status(done=3, place=9)


def test_the_more_are_late_the_longer_each_waits() -> None:
    desk = Desk()
    desk.record(make_status(done=1))
    desk.record(make_status(done=2))
    view = desk.view()
    waits = [
        desk.recorder.record(replace(view, name=f"sums-{number}"), make_status(done=3))
        for number in range(40)
    ]
    assert (waits[0], waits[39]) == (1, 40 / PROGRESS_WRITES_PER_S)
    for number in range(40):
        desk.recorder.forget(f"{NAMESPACE}/sums-{number}")
    assert desk.record(make_status(done=3)) == 1


def test_places_in_the_queue_are_told_as_often_as_may_be_and_nobody_waits_to_tell_one() -> None:
    desk = Desk()
    desk.record(make_status(place=9))
    assert desk.record(make_status(place=8)) == 0
    assert desk.record(make_status(place=7)) == 0
    assert desk.view().status == make_status(place=8)
    assert desk.record(make_status()) == 0
    assert desk.view().status == make_status()
