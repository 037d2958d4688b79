"""Token buckets: bursts, refilling, credit."""

import re

import pytest

from controller.runtime.buckets import TokenBucket
from tests.doubles.clock import VirtualClock


def test_full_bucket_gives_its_burst_and_no_more() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3, clock=VirtualClock().now)
    assert [bucket.try_take() for _ in range(5)] == [True, True, True, False, False]


def test_tokens_come_at_the_rate() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(rate_per_s=2, burst=1, clock=clock.now)
    taken = []
    for _ in range(4):
        taken.append(bucket.try_take())
        clock.advance(0.25)
    assert taken == [True, False, True, False]


def test_sums_of_fractions_make_whole_tokens() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(rate_per_s=1, burst=1, clock=clock.now)
    taken = [bucket.try_take()]
    for _ in range(10):
        clock.advance(0.1)
        taken.append(bucket.try_take())
    assert taken == [True, *[False] * 9, True]


def test_idle_bucket_saves_no_more_than_its_burst() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(rate_per_s=100, burst=2, clock=clock.now)
    clock.advance(3600)
    assert [bucket.try_take() for _ in range(3)] == [True, True, False]


def test_reservations_on_credit_wait_in_a_row() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(rate_per_s=4, burst=2, clock=clock.now)
    assert [bucket.reserve() for _ in range(5)] == [0.0, 0.0, 0.25, 0.5, 0.75]
    clock.advance(1.0)
    assert bucket.try_take()
    assert bucket.reserve() == 0.25


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_bucket_that_could_never_give_is_refused(rate: float, burst: int) -> None:
    want = (
        f"token bucket: must have a rate above 0 and a burst of at least 1, got {rate:g} and "
        f"{burst}; give both"
    )
    with pytest.raises(ValueError, match=re.escape(want)):
        TokenBucket(rate_per_s=rate, burst=burst, clock=VirtualClock().now)
