"""The work queue: once each, never twice at a time, delays, retries, numbers, threads."""

import threading
from dataclasses import dataclass, field

import pytest

from controller.runtime.buckets import TokenBucket
from controller.runtime.clock import SystemClock
from controller.runtime.queue import Backoff, QueueStats, WorkQueue
from distillery.errors import InvariantError
from tests.doubles.clock import PATIENCE_S, VirtualClock


@dataclass
class Notes:
    """A ``QueueObserver`` that writes down what it is told."""

    told: list[tuple[str, float]] = field(default_factory=list)

    def depth_changed(self, depth: int) -> None:
        self.told.append(("depth", depth))

    def added(self) -> None:
        self.told.append(("added", 0))

    def taken(self, waited_s: float) -> None:
        self.told.append(("taken", waited_s))

    def done(self, worked_s: float) -> None:
        self.told.append(("done", worked_s))

    def retried(self) -> None:
        self.told.append(("retried", 0))


def take_all(queue: WorkQueue) -> list[str]:
    """All that is to be had now, each given back at once."""
    taken = []
    while (key := queue.take(timeout_s=0)) is not None:
        taken.append(key)
        queue.done(key)
    return taken


def test_keys_come_in_the_order_they_were_added() -> None:
    queue = WorkQueue(clock=VirtualClock())
    for key in "bac":
        queue.add(key)
    assert take_all(queue) == ["b", "a", "c"]


def test_waiting_key_added_again_comes_once() -> None:
    queue = WorkQueue(clock=VirtualClock())
    for key in "aba":
        queue.add(key)
    assert take_all(queue) == ["a", "b"]


def test_key_in_work_is_given_to_nobody_else_and_comes_again_after() -> None:
    queue = WorkQueue(clock=VirtualClock())
    queue.add("a")
    assert queue.take(timeout_s=0) == "a"
    queue.add("a")
    queue.add("a")
    assert queue.take(timeout_s=0) is None
    queue.done("a")
    assert take_all(queue) == ["a"]


def test_key_not_added_meanwhile_does_not_come_again() -> None:
    queue = WorkQueue(clock=VirtualClock())
    queue.add("a")
    assert take_all(queue) == ["a"]
    assert take_all(queue) == []


def test_delayed_key_comes_when_its_time_is_there() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    queue.add_after("a", 10)
    clock.advance(9.5)
    assert take_all(queue) == []
    clock.advance(0.5)
    assert take_all(queue) == ["a"]


@pytest.mark.parametrize("delays", [(5, 20), (20, 5)])
def test_of_two_delays_the_earlier_one_holds(delays: tuple[float, float]) -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    for delay_s in delays:
        queue.add_after("a", delay_s)
    clock.advance(5)
    assert take_all(queue) == ["a"]
    clock.advance(100)
    assert take_all(queue) == []


@pytest.mark.parametrize("delay_s", [0, -1])
def test_key_delayed_by_nothing_comes_now(delay_s: float) -> None:
    queue = WorkQueue(clock=VirtualClock())
    queue.add_after("a", delay_s)
    assert take_all(queue) == ["a"]


def test_delayed_key_whose_time_comes_while_in_work_comes_again_after() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    queue.add("a")
    queue.take(timeout_s=0)
    queue.add_after("a", 1)
    clock.advance(1)
    assert queue.take(timeout_s=0) is None
    queue.done("a")
    assert take_all(queue) == ["a"]


def test_failures_in_a_row_double_the_wait_from_5_ms_to_1000_s() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    waits = []
    for _ in range(20):
        waits.append(queue.retry("a"))
        clock.advance(waits[-1])
        assert take_all(queue) == ["a"]
    assert waits == pytest.approx([min(0.005 * 2**n, 1000.0) for n in range(20)])
    assert waits[-1] == 1000.0


def test_other_keys_failures_do_not_count() -> None:
    queue = WorkQueue(clock=VirtualClock(), backoff=Backoff(min_s=1, max_s=8))
    assert [queue.retry("a"), queue.retry("a"), queue.retry("b")] == [1, 2, 1]


def test_success_ends_the_row_of_failures() -> None:
    queue = WorkQueue(clock=VirtualClock(), backoff=Backoff(min_s=1, max_s=8))
    queue.retry("a")
    queue.retry("a")
    assert queue.num_failures("a") == 2
    queue.forget("a")
    assert queue.num_failures("a") == 0
    assert queue.retry("a") == 1


def test_retry_waits_at_least_what_the_server_asked_for() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    assert queue.retry("a", at_least_s=30) == 30
    clock.advance(29)
    assert take_all(queue) == []
    clock.advance(1)
    assert take_all(queue) == ["a"]


def test_retries_of_all_keys_share_a_bucket() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(rate_per_s=1, burst=2, clock=clock.now)
    queue = WorkQueue(clock=clock, retries=bucket)
    assert [queue.retry(key) for key in "abcd"] == [0.005, 0.005, 1, 2]


def test_done_without_take_is_a_bug() -> None:
    queue = WorkQueue(clock=VirtualClock())
    with pytest.raises(InvariantError, match="queue: done must follow take, got a; take it first"):
        queue.done("a")


def test_queue_shut_down_gives_nothing_and_takes_nothing() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    queue.add("running")
    queue.take(timeout_s=0)
    queue.add("a")
    queue.add("running")
    queue.add_after("b", 1)
    queue.shut_down()
    queue.add("c")
    queue.retry("d")
    queue.done("running")
    clock.advance(10_000)
    assert queue.take() is None
    want = QueueStats(
        num_waiting=0, num_delayed=0, num_running=0, unfinished_s=0, longest_running_s=0
    )
    assert queue.stats() == want


def test_observer_is_told_of_depths_waits_and_work() -> None:
    clock, notes = VirtualClock(), Notes()
    queue = WorkQueue(clock=clock, observer=notes)
    queue.add("a")
    queue.add("a")
    clock.advance(2)
    queue.take(timeout_s=0)
    clock.advance(1)
    queue.add("a")
    clock.advance(3)
    queue.retry("b")
    queue.done("a")
    queue.take(timeout_s=0)
    assert notes.told == [
        ("added", 0),
        ("depth", 1),
        ("taken", 2),
        ("depth", 0),
        ("added", 0),
        ("retried", 0),
        ("done", 4),
        ("depth", 1),
        ("taken", 3),
        ("depth", 0),
    ]


def test_stats_tell_how_long_keys_are_in_work() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    for key in "abc":
        queue.add(key)
    queue.add_after("d", 100)
    queue.take(timeout_s=0)
    clock.advance(5)
    queue.take(timeout_s=0)
    clock.advance(2)
    want = QueueStats(
        num_waiting=1, num_delayed=1, num_running=2, unfinished_s=9, longest_running_s=7
    )
    assert queue.stats() == want


class Takers:
    """Threads that each wait for one key."""

    def __init__(self, queue: WorkQueue, num: int) -> None:
        self.taken: list[str | None] = []
        self._threads = [
            threading.Thread(target=lambda: self.taken.append(queue.take()), daemon=True)
            for _ in range(num)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> list[str]:
        """What they took, sorted."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        return sorted(key or "nothing" for key in self.taken)


def test_waiting_worker_gets_a_key_as_it_is_added() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    takers = Takers(queue, 1)
    clock.wait_for_waiters(1)
    queue.add("a")
    assert takers.join() == ["a"]


def test_all_keys_due_at_once_wake_a_worker_each() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    queue.add_after("far", 1000)
    takers = Takers(queue, 3)
    clock.wait_for_waiters(3)
    for key in "abc":
        queue.add_after(key, 10)
    clock.wait_for_waiters(3)
    clock.advance(10)
    assert takers.join() == ["a", "b", "c"]


def test_shut_down_wakes_all_workers() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    takers = Takers(queue, 3)
    clock.wait_for_waiters(3)
    queue.shut_down()
    assert takers.join() == ["nothing"] * 3


def test_take_gives_up_at_its_timeout() -> None:
    clock = VirtualClock()
    queue = WorkQueue(clock=clock)
    taken: list[str | None] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take(timeout_s=3)), daemon=True)
    thread.start()
    clock.wait_for_waiters(1)
    clock.advance(3)
    thread.join(PATIENCE_S)
    assert taken == [None]


def test_no_key_is_lost_nor_in_two_workers_under_load() -> None:
    queue = WorkQueue(clock=SystemClock())
    keys = [f"k{number}" for number in range(7)]
    running: set[str] = set()
    wanted = dict.fromkeys(keys, 0)
    seen = dict.fromkeys(keys, 0)
    clashes: list[str] = []
    lock = threading.Lock()
    all_seen = threading.Event()

    def work() -> None:
        while (key := queue.take()) is not None:
            with lock:
                if key in running:
                    clashes.append(key)
                running.add(key)
                seen[key] = wanted[key]
                if seen == dict.fromkeys(keys, 300):
                    all_seen.set()
            with lock:
                running.remove(key)
            queue.done(key)

    def add() -> None:
        for number in range(300):
            for key in keys:
                with lock:
                    wanted[key] += 1
                queue.add_after(key, 0.0001 if number % 3 == 0 else 0)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in [*threads, adder := threading.Thread(target=add, daemon=True)]:
        thread.start()
    adder.join(PATIENCE_S)
    assert all_seen.wait(PATIENCE_S)
    queue.shut_down()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert clashes == []
