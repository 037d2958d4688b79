"""Status objects as faults, where no HTTP status stands beside them."""

from typing import Any

import pytest

from controller.kube.answers import fault_of_status
from controller.kube.faults import GoneError, UnreachableError
from distillery.errors import MAX_MESSAGE_CHARS, DistilleryError


@pytest.mark.parametrize(
    ("status", "want", "want_message"),
    [
        ({}, UnreachableError, "WATCH /x: the API server fails, got 500 nothing; tried again"),
        ({"code": "410"}, UnreachableError, "WATCH /x: the API server fails, got 500 nothing; tried again"),
        ({"code": 410, "reason": "Expired"}, GoneError, "WATCH /x: is refused, got 410 'Expired'"),
        ({"code": 410, "message": " too\n  old "}, GoneError, "WATCH /x: is refused, got 410 'too old'"),
    ],
)  # fmt: skip
def test_a_status_without_all_its_fields_is_still_a_fault(
    status: dict[str, Any], want: type[DistilleryError], want_message: str
) -> None:
    fault = fault_of_status("WATCH /x", status)
    assert (type(fault), fault.message) == (want, want_message)


def test_a_long_path_leaves_room_for_what_is_wrong() -> None:
    fault = fault_of_status(
        f"GET /apis/{'x' * 400}/end", {"code": 403, "message": "it cannot " * 40}
    )
    assert len(fault.message) <= MAX_MESSAGE_CHARS
    assert fault.message.startswith("GET /apis/xx")
    assert fault.message.endswith("'; let a role allow it")


@pytest.mark.parametrize(
    ("said", "want"),
    [
        (
            'pods is forbidden: User "u" cannot list resource "pods" in API group ""',
            """GET /x: is refused, got 403 'pods is forbidden: User "u" cannot list resource "pods" in API group ""'; let a role allow it""",
        ),
        (
            'pods "a" is forbidden: exceeded quota: q',
            """GET /x: is refused, got 403 'pods "a" is forbidden: exceeded quota: q'""",
        ),
    ],
    ids=["no role", "quota"],
)
def test_only_what_no_role_allows_is_a_matter_of_roles(said: str, want: str) -> None:
    fault = fault_of_status("GET /x", {"code": 403, "reason": "Forbidden", "message": said})
    assert fault.message == want
