"""Random histories of the work queue against the simplest model of what it owes its callers."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.runtime.buckets import TokenBucket
from controller.runtime.queue import Backoff, WorkQueue
from tests.doubles.clock import VirtualClock

KEYS = st.sampled_from("abcd")
DELAYS = st.integers(min_value=0, max_value=20)
MIN_S, MAX_S = 1.0, 16.0


class QueueMachine(RuleBasedStateMachine):
    """``wanted``: keys that must be given out; ``due``: when a key will be wanted at the latest;
    ``running``: keys in a worker. Times are whole seconds, so that sums are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(start=0)
        retries = TokenBucket(rate_per_s=1000, burst=10_000, clock=self.clock.now)
        self.queue = WorkQueue(
            clock=self.clock, backoff=Backoff(min_s=MIN_S, max_s=MAX_S), retries=retries
        )
        self.wanted: set[str] = set()
        self.order: list[str] = []
        self.running: set[str] = set()
        self.due: dict[str, tuple[float, int]] = {}
        self.num_delays = 0
        self.failures: dict[str, int] = {}

    def want(self, key: str) -> None:
        if key not in self.wanted and key not in self.running:
            self.order.append(key)
        self.wanted.add(key)

    def delay(self, key: str, delay_s: float) -> None:
        due = self.clock.now() + delay_s
        if due < self.due.get(key, (math.inf, 0))[0]:
            self.num_delays += 1
            self.due[key] = (due, self.num_delays)

    def catch_up(self) -> None:
        """Keys whose time has come are wanted, the earliest first."""
        for key, (due, _) in sorted(self.due.items(), key=lambda item: item[1]):
            if due <= self.clock.now():
                del self.due[key]
                self.want(key)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.want(key)

    @rule(key=KEYS, delay_s=DELAYS)
    def add_after(self, key: str, delay_s: int) -> None:
        self.queue.add_after(key, delay_s)
        if delay_s == 0:
            self.want(key)
        else:
            self.delay(key, delay_s)

    @rule(key=KEYS, at_least_s=DELAYS)
    def retry(self, key: str, at_least_s: int) -> None:
        num = self.failures.get(key, 0)
        self.failures[key] = num + 1
        want_s = max(min(MAX_S, MIN_S * 2**num), at_least_s)
        assert self.queue.retry(key, at_least_s=at_least_s) == want_s
        self.delay(key, want_s)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures.pop(key, None)
        assert self.queue.num_failures(key) == 0

    @rule(seconds=DELAYS)
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def take(self) -> None:
        self.catch_up()
        free = self.wanted - self.running
        key = self.queue.take(timeout_s=0)
        if key is None:
            assert not free
            return
        assert key in free, "a key is in one worker at a time, and only if somebody wanted it"
        assert key == self.order.pop(0), "keys come in the order in which they were wanted"
        self.wanted.discard(key)
        self.running.add(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.queue.done(key)
        self.running.discard(key)
        if key in self.wanted:
            self.order.append(key)

    @invariant()
    def numbers_agree(self) -> None:
        stats = self.queue.stats()
        assert stats.num_running == len(self.running)
        assert stats.num_waiting == len(self.order)
        assert stats.num_delayed == len(self.due)

    def teardown(self) -> None:
        """Whatever has happened, every key that anybody wanted comes in the end, and then none."""
        for key in sorted(self.running):
            self.queue.done(key)
        self.running.clear()
        self.clock.advance(10_000)
        self.catch_up()
        came = []
        while (key := self.queue.take(timeout_s=0)) is not None:
            came.append(key)
            self.queue.done(key)
        assert sorted(came) == sorted(self.wanted)
        self.clock.advance(10_000)
        assert self.queue.take(timeout_s=0) is None


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
