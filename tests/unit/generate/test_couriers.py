"""An engine's threads: work comes, answers become durable before they are acknowledged."""

import threading
from collections.abc import Sequence

import pytest

from distillery.errors import ExternalError
from ray_jobs.answers.reuse import StoredAnswer
from ray_jobs.generate.couriers import Feeder, Flushed, Flusher
from ray_jobs.generate.dispatcher import Dispatcher, Lease
from ray_jobs.generate.work import WorkItem
from tests.stored_answers import make_answer


class LocalPort:
    """A real dispatcher, without Ray between."""

    def __init__(self, num_items: int = 0) -> None:
        self.dispatcher = Dispatcher(lease_s=60)
        self.dispatcher.add(WorkItem(key=f"k{n}", prompt_ids=[1]) for n in range(num_items))
        self.flushed: list[Flushed] = []
        self.came = threading.Event()

    def lease(self, *, limit: int, tokens: int) -> Lease:
        return self.dispatcher.lease("e", limit=limit, tokens=tokens, now=0)

    def acknowledge(self, flushed: Flushed) -> None:
        self.flushed.append(flushed)
        self.came.set()


def make_flusher(port: LocalPort, *, flush_s: float = 60, flush_rows: int = 100) -> Flusher:
    def write(answers: Sequence[StoredAnswer]) -> str:
        return f"segment-{len(answers)}"

    return Flusher(port, write=write, flush_s=flush_s, flush_rows=flush_rows)


def test_feeder_leases_no_more_than_fits() -> None:
    port = LocalPort(num_items=100)
    feeder = Feeder(port, capacity=8, num_busy=lambda: 3, tokens=lambda: 0)
    feeder.start()
    items = feeder.take(wait_s=10)
    feeder.stop()
    assert [item.key for item in items] == ["k0", "k1", "k2", "k3", "k4"]


def test_feeder_ends_when_it_is_over() -> None:
    port = LocalPort()
    port.dispatcher.close()
    feeder = Feeder(port, capacity=8, num_busy=lambda: 0, tokens=lambda: 0)
    feeder.start()
    assert feeder.take(wait_s=10) == []
    feeder.stop()
    assert feeder.lease.is_over


def test_feeder_keeps_the_dispatchers_error_for_the_loop() -> None:
    class Broken(LocalPort):
        def lease(self, *, limit: int, tokens: int) -> Lease:
            raise ExternalError("dispatcher: gone", reason="DispatcherLost")

    feeder = Feeder(Broken(), capacity=8, num_busy=lambda: 0, tokens=lambda: 0)
    feeder.start()
    feeder.take(wait_s=10)
    feeder.stop()
    assert isinstance(feeder.error, ExternalError)


def test_flusher_waits_for_its_interval() -> None:
    port = LocalPort()
    flusher = make_flusher(port, flush_s=0.01)
    flusher.start()
    flusher.put([make_answer("a")], [], is_idle=False)
    assert port.came.wait(10)
    flusher.finish()
    (flushed,) = port.flushed
    assert (flushed.segment, [answer.key for answer in flushed.answers]) == ("segment-1", ["a"])


@pytest.mark.parametrize(
    ("count", "is_idle"), [(100, False), (1, True)], ids=["many rows", "idle engine"]
)
def test_flusher_does_not_wait(count: int, is_idle: bool) -> None:
    port = LocalPort()
    flusher = make_flusher(port)
    flusher.start()
    flusher.put([make_answer(f"k{n}") for n in range(count)], [], is_idle=is_idle)
    assert port.came.wait(10)
    assert len(port.flushed[0].answers) == count
    flusher.finish()


def test_flusher_flushes_the_rest_at_its_end() -> None:
    port = LocalPort()
    flusher = make_flusher(port)
    flusher.start()
    flusher.put([make_answer("a")], [("b", "too long")], is_idle=False)
    flusher.finish()
    assert port.flushed == [
        Flushed(segment="segment-1", answers=[make_answer("a")], failures=[("b", "too long")])
    ]


def test_failures_alone_make_no_segment() -> None:
    port = LocalPort()
    flusher = make_flusher(port)
    flusher.start()
    flusher.put([], [("b", "too long")], is_idle=False)
    flusher.finish()
    assert [flushed.segment for flushed in port.flushed] == [""]


def test_answers_that_could_not_be_written_are_never_acknowledged() -> None:
    port = LocalPort()

    def write(answers: Sequence[StoredAnswer]) -> str:
        raise ExternalError("s3://bucket: access denied", reason="AccessDenied")

    flusher = Flusher(port, write=write, flush_s=60, flush_rows=1)
    flusher.start()
    flusher.put([make_answer("a")], [], is_idle=False)
    flusher.finish()
    assert port.flushed == []
    assert isinstance(flusher.error, ExternalError)
