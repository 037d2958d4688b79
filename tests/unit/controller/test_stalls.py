"""A stall is work that stands still on our own clock."""

from controller.launchers.stalls import StallTracker, stalled, too_long
from controller.plan.snapshot import Failure
from distillery.progress import Phase, Progress

LIMIT_S = 60.0


def test_an_attempt_stalls_when_its_work_is_unchanged_for_the_limit() -> None:
    tracker = StallTracker()
    assert not tracker.check("a", Progress(work=5), LIMIT_S, 100.0)
    assert not tracker.check("a", Progress(work=5, beat=9), LIMIT_S, 159.9)
    assert tracker.check("a", Progress(work=5, beat=10), LIMIT_S, 160.0)


def test_new_work_or_a_new_phase_starts_the_wait_anew() -> None:
    tracker = StallTracker()
    tracker.check("a", Progress(work=5), LIMIT_S, 0.0)
    assert not tracker.check("a", Progress(work=6), LIMIT_S, 60.0)
    assert not tracker.check("a", Progress(work=6, phase=Phase.UPLOADING), LIMIT_S, 120.0)
    assert tracker.check("a", Progress(work=6, phase=Phase.UPLOADING), LIMIT_S, 180.0)


def test_an_attempt_that_begins_again_with_less_work_is_no_stall() -> None:
    tracker = StallTracker()
    tracker.check("a", Progress(work=500), LIMIT_S, 0.0)
    assert not tracker.check("a", Progress(work=0), LIMIT_S, 60.0)


def test_silence_from_the_start_is_a_stall_too() -> None:
    tracker = StallTracker()
    assert not tracker.check("a", None, LIMIT_S, 0.0)
    assert tracker.check("a", None, LIMIT_S, 60.0)
    assert not tracker.check("a", Progress(), LIMIT_S, 61.0)


def test_attempts_are_watched_apart_and_a_forgotten_one_begins_anew() -> None:
    tracker = StallTracker()
    tracker.check("a", None, LIMIT_S, 0.0)
    tracker.check("b", None, LIMIT_S, 50.0)
    assert tracker.check("a", None, LIMIT_S, 60.0)
    assert not tracker.check("b", None, LIMIT_S, 60.0)
    tracker.forget("a")
    tracker.forget("never seen")
    assert not tracker.check("a", None, LIMIT_S, 200.0)


def test_a_stall_says_where_it_stands_and_what_to_do() -> None:
    progress = Progress(phase=Phase.LOADING_WEIGHTS)
    assert stalled("train-small", progress, 1800.0) == Failure(
        reason="Stalled",
        message="train-small: stands still in phase LoadingWeights, got no new work for 1800 s; "
        "it is tried again, or raise spec.runtime.stallSeconds",
        retriable=True,
    )
    assert "before its first word" in stalled("train-small", None, 60.0).message


def test_an_attempt_that_runs_too_long_is_told_how_to_run_longer() -> None:
    failure = too_long("train-small", 3600)
    assert (failure.reason, failure.retriable) == ("DeadlineExceeded", False)
    assert failure.message == (
        "train-small: runs too long, got 3600 s without an end; raise "
        "spec.runtime.stepDeadlineSeconds, or see what keeps it"
    )
