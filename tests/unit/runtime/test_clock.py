"""The clocks, real and virtual, and dates."""

import threading

import pytest

from controller.runtime.clock import SystemClock
from controller.runtime.timestamps import format_micro_time, to_microseconds
from tests.doubles.clock import PATIENCE_S, VirtualClock


def test_real_clock_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.now() for _ in range(1000)]
    assert times == sorted(times)


def test_real_clock_waits_no_longer_than_told() -> None:
    condition = threading.Condition()
    with condition:
        assert SystemClock().wait(condition, 0) is False


def test_turned_clock_wakes_those_whose_time_is_over() -> None:
    clock = VirtualClock(start=0)
    woken: list[tuple[float, bool]] = []

    def wait(seconds: float) -> None:
        condition = threading.Condition()
        with condition:
            came = clock.wait(condition, seconds)
            woken.append((seconds, came))

    threads = [threading.Thread(target=wait, args=(each,), daemon=True) for each in (1, 5)]
    for thread in threads:
        thread.start()
    clock.wait_for_waiters(2)
    clock.advance(1)
    threads[0].join(PATIENCE_S)
    assert woken == [(1, False)]
    clock.advance(4)
    threads[1].join(PATIENCE_S)
    assert woken == [(1, False), (5, False)]


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_767_225_600.000001, "2026-01-01T00:00:00.000001Z"),
        (1_767_225_599.9999999, "2026-01-01T00:00:00.000000Z"),
    ],
)
def test_dates_have_microseconds_as_the_api_wants(seconds: float, want: str) -> None:
    assert format_micro_time(to_microseconds(seconds)) == want
