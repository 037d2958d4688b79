"""What libraries raise, as the error tree says it; the errors are the libraries' own."""

from pathlib import Path

import pytest
import torch

from distillery.errors import MAX_MESSAGE_CHARS, ExternalError, ResourceError, SpecError
from ray_jobs.engines.failures import loading, running

pytestmark = pytest.mark.heavy


class LibraryError(Exception):
    """An error type of a library's own."""


def die_of_shortage() -> None:
    try:
        torch.empty(2**50)
    except RuntimeError as error:
        raise ValueError("worker died") from error


def test_memory_that_torch_can_t_get_is_out_of_memory() -> None:
    with (
        pytest.raises(ResourceError, match=r"engine: out of memory, got .*; lower kvC") as e,
        running(),
    ):
        torch.empty(2**50)
    assert e.value.reason == "EngineOutOfMemory"
    assert len(e.value.message) <= 256


def test_memory_that_python_can_t_get_is_out_of_memory() -> None:
    with (
        pytest.raises(ResourceError, match="out of memory, got MemoryError; lower"),
        loading(Path("model")),
    ):
        bytearray(2**62)


def test_a_shortage_behind_another_error_is_found() -> None:
    with pytest.raises(ResourceError, match="out of memory"), running():
        die_of_shortage()


def test_an_engine_that_dies_while_it_runs_has_failed() -> None:
    with (
        pytest.raises(ExternalError, match=r"died while answering, got RuntimeError .*; see") as e,
        running(),
    ):
        torch.zeros(2) @ torch.zeros(3)
    assert e.value.reason == "EngineFailed"


def test_a_model_that_does_not_load_is_unreadable() -> None:
    with (
        pytest.raises(SpecError, match=r"^model: the engine can't load this .* got ValueErr") as e,
        loading(Path("model")),
    ):
        int("seven")
    assert e.value.reason == "ModelUnreadable"


def test_a_library_s_own_errors_are_turned_when_they_are_named() -> None:
    with pytest.raises(ExternalError, match="got LibraryError; see"), running(also=(LibraryError,)):
        raise LibraryError
    with pytest.raises(LibraryError), running():
        raise LibraryError


def test_the_tree_s_own_errors_pass() -> None:
    with pytest.raises(SpecError, match=r"^as it was$"), loading(Path("model")):
        raise SpecError("as it was")


def test_a_long_path_and_a_long_text_make_no_message_too_long() -> None:
    folder = Path("/models") / ("m" * 200)
    for kind in (ValueError, MemoryError):
        with pytest.raises((SpecError, ResourceError)) as e, loading(folder):
            raise kind("t" * 300)
        assert len(e.value.message) <= MAX_MESSAGE_CHARS
    with pytest.raises(ExternalError) as e, running():
        raise RuntimeError("t" * 300)
    assert len(e.value.message) <= MAX_MESSAGE_CHARS
