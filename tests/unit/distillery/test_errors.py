"""Errors survive the way between two processes."""

import pickle

import pytest

from distillery.errors import (
    DistilleryError,
    ExternalError,
    InvariantError,
    Problem,
    ResourceError,
    SpecError,
    TransientError,
)


@pytest.mark.parametrize(
    "error",
    [
        SpecError("a: is wrong", reason="Wrong", problems=(Problem(path="a", message="b"),)),
        TransientError("busy", reason="Busy", delay_s=3.0),
        ExternalError("refused", reason="Denied", status_code=403),
        ResourceError("full", reason="DiskFull"),
        InvariantError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_pickled_error_is_the_same(error: DistilleryError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.args == error.args
