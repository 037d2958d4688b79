"""Errors from workers, and library errors in the tree."""

import pickle

import pytest

from distillery.errors import (
    DistilleryError,
    ExternalError,
    InvariantError,
    ResourceError,
    SpecError,
    TransientError,
)
from ray_jobs.train.failures import choose_error, leaving_worker


@pytest.mark.parametrize(
    "error",
    [
        SpecError("a: b, got c; d", reason="TrainingDiverged"),
        ResourceError("a", reason="DiskFull"),
        TransientError("a", reason="StorageFailed"),
        ExternalError("a", reason="AccessDenied"),
        InvariantError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_tree_comes_through_a_process_border(error: DistilleryError) -> None:
    with pytest.raises(type(error)) as caught, leaving_worker():
        raise error
    chosen = choose_error([RuntimeError("rank 0"), pickle.loads(pickle.dumps(caught.value))])
    assert type(chosen) is type(error)
    assert (chosen.message, chosen.reason) == (error.message, error.reason)


def test_other_errors_leave_the_worker_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), leaving_worker():
        raise RuntimeError("shapes differ")


def test_a_worker_that_died_is_tried_again() -> None:
    error = choose_error([RuntimeError("connection reset\nmore")])
    assert isinstance(error, ExternalError)
    assert error.message == (
        "training workers: they died, got RuntimeError connection reset; see the step's log, "
        "the next attempt goes on from the last checkpoint"
    )
    assert error.reason == "TrainerFailed"


def test_a_worker_killed_for_its_memory_is_not_tried_again() -> None:
    class OutOfMemoryError(Exception):
        """As Ray names it."""

    error = choose_error([OutOfMemoryError("task was killed")])
    assert isinstance(error, ResourceError)
    assert error.reason == "TrainerOutOfMemory"
