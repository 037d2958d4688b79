"""The gate: hopeless ratios stop early, hopeful ones never."""

import random

import pytest

from ray_jobs.generate.gate import Gate, Hopeless, binomial_tail


def feed(gate: Gate, statuses: list[str]) -> Hopeless | None:
    for place, status in enumerate(statuses):
        seen = gate.record(place, status)
        if seen is not None:
            return seen
    return None


def test_nothing_usable_stops_after_the_first_sixteen() -> None:
    seen = feed(Gate(total=1000, min_success_ratio=0.9), ["unparsable"] * 12 + ["truncated"] * 99)
    assert seen == Hopeless(num_ok=0, num_seen=16, reasons={"unparsable": 12, "truncated": 4})


def test_fifteen_failures_alone_stop_nothing() -> None:
    assert feed(Gate(total=1000, min_success_ratio=0.9), ["unparsable"] * 15) is None


def test_ratio_just_below_goes_on_for_curate_to_judge() -> None:
    statuses = (["ok"] * 7 + ["unparsable"] * 3) * 100
    assert feed(Gate(total=2000, min_success_ratio=0.72), statuses) is None


def test_ratio_clearly_below_stops_at_a_later_look() -> None:
    statuses = (["ok"] * 6 + ["unparsable"] * 4) * 100
    seen = feed(Gate(total=1000, min_success_ratio=0.75), statuses)
    assert seen is not None
    assert 16 < seen.num_seen < 500
    assert seen.num_seen % 50 == 0


def test_what_can_no_longer_be_reached_stops_without_statistics() -> None:
    statuses = ["ok"] * 80 + ["unparsable"] * 15 + ["ok"] * 5
    seen = feed(Gate(total=100, min_success_ratio=0.9), statuses)
    assert seen is not None
    assert seen.num_seen == 95


def test_no_minimum_never_stops() -> None:
    assert feed(Gate(total=100, min_success_ratio=0.0), ["error"] * 100) is None


def test_small_set_is_judged_when_it_is_whole() -> None:
    assert feed(Gate(total=4, min_success_ratio=0.5), ["ok", "ok", "error", "error"]) is None
    assert feed(Gate(total=4, min_success_ratio=0.6), ["ok", "ok", "error", "error"]) is not None


def test_early_ends_wait_for_the_rows_asked_before_them() -> None:
    gate = Gate(total=100, min_success_ratio=0.9)
    for place in range(50, 90):
        assert gate.record(place, "error") is None


def test_a_teacher_at_the_minimum_is_rarely_stopped_by_chance() -> None:
    # The chance is bounded by 1% in theory; 400 runs of the rule itself, seeded.
    draws = random.Random(0)
    stopped = 0
    for _ in range(400):
        num_ok = 700
        statuses = ["ok"] * num_ok + ["unparsable"] * (1000 - num_ok)
        draws.shuffle(statuses)
        stopped += feed(Gate(total=1000, min_success_ratio=0.7), statuses) is not None
    assert stopped <= 4


@pytest.mark.parametrize(
    ("num_ok", "num_seen", "ratio"), [(0, 16, 0.7), (3, 16, 0.7), (60, 100, 0.7)]
)
def test_tail_is_the_sum_of_the_binomial_terms(num_ok: int, num_seen: int, ratio: float) -> None:
    from math import comb

    naive = sum(
        comb(num_seen, k) * ratio**k * (1 - ratio) ** (num_seen - k) for k in range(num_ok + 1)
    )
    assert binomial_tail(num_ok, num_seen, ratio) == pytest.approx(naive, rel=1e-9)


def test_tail_of_certain_ratios() -> None:
    assert binomial_tail(3, 10, 0.0) == 1.0
    assert binomial_tail(9, 10, 1.0) == 0.0
    assert binomial_tail(10, 10, 1.0) == 1.0
