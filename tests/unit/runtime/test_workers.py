"""Workers: what follows from each way a reconcile ends, and that no key stops another."""

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from controller.kube.faults import (
    ConflictError,
    ForbiddenError,
    LeaseLostError,
    ThrottledError,
    UnreachableError,
)
from controller.runtime.queue import Backoff, WorkQueue
from controller.runtime.workers import Reconcile, Result, Workers
from tests.doubles.clock import PATIENCE_S, VirtualClock

LOGGER = "controller.runtime.workers"


@dataclass
class Notes:
    """A ``WorkObserver`` that writes down what it is told."""

    told: list[tuple[Result, float]] = field(default_factory=list)

    def reconciled(self, result: Result, took_s: float) -> None:
        self.told.append((result, took_s))


@dataclass(kw_only=True)
class Bench:
    """A queue with workers and a clock."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    notes: Notes = field(default_factory=Notes)
    queue: WorkQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = WorkQueue(clock=self.clock, backoff=Backoff(min_s=1, max_s=64))

    def workers(self, reconcile: Reconcile, *, num_threads: int = 1) -> Workers:
        return Workers(
            self.queue,
            reconcile,
            clock=self.clock,
            num_threads=num_threads,
            observer=self.notes,
        )

    def delay_of_next_s(self) -> float | None:
        """The whole seconds until a key is there; None: none within two hours."""
        for second in range(7201):
            if (key := self.queue.take(timeout_s=0)) is not None:
                self.queue.done(key)
                return float(second)
            self.clock.advance(1)
        return None


def raising(error: Exception) -> Callable[[str], float | None]:
    def reconcile(key: str) -> float | None:
        raise error

    return reconcile


@pytest.mark.parametrize(
    ("wait_s", "want_result", "want_delay_s"),
    [
        pytest.param(None, Result.SUCCESS, None, id="content"),
        pytest.param(0.0, Result.REQUEUE_AFTER, 0, id="again at once"),
        pytest.param(7.0, Result.REQUEUE_AFTER, 7, id="again in a while"),
    ],
)
def test_reconcile_says_when_it_is_called_again(
    wait_s: float | None, want_result: Result, want_delay_s: float | None
) -> None:
    bench = Bench()
    bench.queue.add("a")
    assert bench.workers(lambda key: wait_s).step()
    assert bench.notes.told == [(want_result, 0)]
    assert bench.delay_of_next_s() == want_delay_s


@pytest.mark.parametrize(
    ("error", "want_result", "want_delay_s", "want_level"),
    [
        pytest.param(
            ConflictError("m", reason="Conflict", status_code=409),
            Result.REQUEUE, 1, logging.DEBUG, id="conflict",
        ),
        pytest.param(
            ThrottledError("m", reason="TooManyRequests", delay_s=42),
            Result.ERROR, 42, logging.INFO, id="429 with Retry-After",
        ),
        pytest.param(
            UnreachableError("m", reason="Reset", delay_s=0.1),
            Result.ERROR, 1, logging.INFO, id="unreachable",
        ),
        pytest.param(
            LeaseLostError("m", reason="LeaseLost", delay_s=2),
            Result.ERROR, 2, logging.INFO, id="lease lost",
        ),
        pytest.param(
            ForbiddenError("m", reason="Forbidden", status_code=403),
            Result.ERROR, 1, logging.ERROR, id="forbidden",
        ),
        pytest.param(KeyError("m"), Result.ERROR, 1, logging.ERROR, id="bug"),
    ],
)  # fmt: skip
def test_failed_reconcile_is_counted_told_once_and_tried_again(
    error: Exception,
    want_result: Result,
    want_delay_s: float,
    want_level: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.queue.add("ns/a")
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        assert bench.workers(raising(error)).step()
    assert bench.notes.told == [(want_result, 0)]
    assert [record.levelno for record in caplog.records] == [want_level]
    assert "key=ns/a" in caplog.text
    assert bench.delay_of_next_s() == want_delay_s


def test_error_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.queue.add("ns/a")
    bench.workers(raising(KeyError("lost"))).step()
    assert "reconcile failed key=ns/a delay_s=1.000 error=KeyError('lost')" in caplog.text
    assert "Traceback" in caplog.text


def test_same_failure_again_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    errors = [ValueError("x"), ValueError("x"), ValueError("y"), None, ValueError("y")]
    script = iter(errors)

    def reconcile(key: str) -> float | None:
        error = next(script)
        if error is not None:
            raise error
        return 0.0

    workers = bench.workers(reconcile)
    bench.queue.add("a")
    for _ in errors:
        assert workers.step()
        bench.clock.advance(64)
    told = [record.args[2] for record in caplog.records if isinstance(record.args, tuple)]
    assert [str(error) for error in told] == ["x", "y", "y"]


def test_success_makes_the_next_failure_the_first() -> None:
    bench = Bench()
    script = iter([ValueError(), ValueError(), None])

    def reconcile(key: str) -> float | None:
        error = next(script)
        if error is not None:
            raise error
        return None

    workers = bench.workers(reconcile)
    bench.queue.add("a")
    failures = []
    for _ in range(3):
        assert workers.step()
        failures.append(bench.queue.num_failures("a"))
        bench.clock.advance(64)
    assert failures == [1, 2, 0]


def test_key_added_during_its_reconcile_is_reconciled_again() -> None:
    bench = Bench()
    seen = []

    def reconcile(key: str) -> float | None:
        seen.append(key)
        if len(seen) == 1:
            bench.queue.add(key)
        return None

    workers = bench.workers(reconcile)
    bench.queue.add("a")
    while workers.step():
        pass
    assert seen == ["a", "a"]


def test_step_without_a_key_says_so() -> None:
    assert Bench().workers(lambda key: None).step() is False


def test_reconcile_time_is_told() -> None:
    bench = Bench()

    def reconcile(key: str) -> float | None:
        bench.clock.advance(3)
        return None

    bench.queue.add("a")
    bench.workers(reconcile).step()
    assert bench.notes.told == [(Result.SUCCESS, 3)]


def test_exception_in_one_key_never_stops_the_others() -> None:
    bench = Bench()
    seen: list[str] = []
    came = threading.Condition()

    def reconcile(key: str) -> float | None:
        with came:
            seen.append(key)
            came.notify_all()
        if key == "bad":
            raise ValueError
        return None

    workers = bench.workers(reconcile, num_threads=2)
    workers.start()
    for number in range(20):
        bench.queue.add("bad")
        bench.queue.add(f"good-{number}")
        with came:
            assert came.wait_for(functools.partial(seen.__contains__, f"good-{number}"), PATIENCE_S)
    assert workers.stop(timeout_s=PATIENCE_S)
    assert "bad" in seen


def test_stop_waits_for_the_key_in_work() -> None:
    bench = Bench()
    began, may_end = threading.Event(), threading.Event()
    ended: list[str] = []

    def reconcile(key: str) -> float | None:
        began.set()
        assert may_end.wait(PATIENCE_S)
        ended.append(key)
        return None

    workers = bench.workers(reconcile)
    workers.start()
    bench.queue.add("a")
    assert began.wait(PATIENCE_S)
    assert workers.stop(timeout_s=0.0) is False
    may_end.set()
    assert workers.stop(timeout_s=PATIENCE_S)
    assert ended == ["a"]


def test_workers_never_started_stop_at_once() -> None:
    assert Bench().workers(lambda key: None).stop(timeout_s=0)
