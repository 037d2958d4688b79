"""What comes back instead of an object: refusals, broken answers, none in time."""

import re
import socket
import time
from collections.abc import Callable

import pytest

from controller.kube.api import KubeApi
from controller.kube.faults import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    ThrottledError,
    UnreachableError,
)
from controller.kube.http import HttpApi
from controller.kube.resources import PODS
from distillery.errors import MAX_MESSAGE_CHARS, DistilleryError
from tests.unit.kube.conftest import make_api
from tests.unit.kube.scripted_api import Asked, ScriptedApi, Wire

PLACE = "GET /api/v1/namespaces/ns/pods/a"
LIMIT_S = 0.3
SLACK_S = 3.0
"""A busy machine may come so much late; without the limit it would be ``DEADLINE_S``."""


def fetch(api: KubeApi) -> object:
    return api.fetch(PODS, namespace="ns", name="a")


@pytest.mark.parametrize(
    ("code", "reason", "want", "want_message"),
    [
        (400, "BadRequest", InvalidError, "is refused, got 400 'no'"),
        (403, "Forbidden", ForbiddenError, "is refused, got 403 'no'"),
        (404, "NotFound", NotFoundError, "is refused, got 404 'no'; see that the CRD and the namespace are there"),
        (405, "MethodNotAllowed", ApiError, "is refused, got 405 'no'"),
        (409, "AlreadyExists", AlreadyExistsError, "is refused, got 409 'no'"),
        (409, "Conflict", ConflictError, "is refused, got 409 'no'"),
        (410, "Expired", GoneError, "is refused, got 410 'no'"),
        (413, "RequestEntityTooLarge", ApiError, "is refused, got 413 'no'"),
        (422, "Invalid", InvalidError, "is refused, got 422 'no'"),
        (401, "Unauthorized", UnreachableError, "the API server fails, got 401 no; tried again"),
        (408, "Timeout", UnreachableError, "the API server fails, got 408 no; tried again"),
        (429, "TooManyRequests", ThrottledError, "the API server is busy, got 429; tried again in 1 s"),
        (500, "InternalError", UnreachableError, "the API server fails, got 500 no; tried again"),
        (503, "ServiceUnavailable", UnreachableError, "the API server fails, got 503 no; tried again"),
        (504, "Timeout", UnreachableError, "the API server fails, got 504 no; tried again"),
    ],
)  # fmt: skip
def test_each_refusal_is_an_error_of_its_own(
    server: ScriptedApi,
    api: HttpApi,
    code: int,
    reason: str,
    want: type[DistilleryError],
    want_message: str,
) -> None:
    server.refuses(code, reason, "no")
    with pytest.raises(want) as caught:
        fetch(api)
    assert type(caught.value) is want
    assert caught.value.message == f"{PLACE}: {want_message}"
    if isinstance(caught.value, ApiError):
        assert caught.value.status_code == code


def test_a_long_refusal_is_cut_to_a_message(server: ScriptedApi, api: HttpApi) -> None:
    server.refuses(422, "Invalid", "spec.x: Invalid value:\n" + "long " * 500)
    with pytest.raises(InvalidError) as caught:
        fetch(api)
    message = caught.value.message
    assert message.startswith(f"{PLACE}: is refused, got 422 'spec.x: Invalid value: long long ")
    assert len(message) <= MAX_MESSAGE_CHARS
    assert "\n" not in message


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"[1]", b'{"kind": "Po'])
def test_a_refusal_that_is_no_status_object_keeps_its_code(
    server: ScriptedApi, api: HttpApi, body: bytes
) -> None:
    server.answers(502, body)
    with pytest.raises(UnreachableError, match="the API server fails, got 502 "):
        fetch(api)


def test_a_redirect_is_not_followed(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(302, b"elsewhere", Location="http://127.0.0.1:1/")
    with pytest.raises(ApiError, match="is refused, got 302 'elsewhere'"):
        fetch(api)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("headers", "want_delay_s"),
    [
        ({}, 1.0),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": " 0 "}, 0.0),
        ({"Retry_After": "1.5"}, 1.5),
        ({"Retry_After": "-3"}, 0.0),
        ({"Retry_After": "86400"}, 300.0),
        ({"Retry_After": "soon"}, 1.0),
        (
            {
                "Date": "Tue, 24 Nov 2026 10:00:00 GMT",
                "Retry_After": "Tue, 24 Nov 2026 10:00:09 GMT",
            },
            9.0,
        ),
        ({"Retry_After": "Tue, 24 Nov 2015 10:00:00 GMT"}, 0.0),
        ({"Retry_After": "Tue, 24 Nov 2499 10:00:00 GMT"}, 300.0),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize(("code", "want"), [(429, ThrottledError), (503, UnreachableError)])
def test_retry_after_says_when_to_come_again(
    server: ScriptedApi,
    api: HttpApi,
    headers: dict[str, str],
    want_delay_s: float,
    code: int,
    want: type[ThrottledError | UnreachableError],
) -> None:
    server.answers(code, {}, **headers)
    with pytest.raises(want) as caught:
        fetch(api)
    assert caught.value.delay_s == want_delay_s


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b'{"kind": "Pod", "meta', "JSONDecodeError"),
        (b"", "JSONDecodeError"),
        (b"<html>", "JSONDecodeError"),
        (b"\xff\xfe{", "UnicodeDecodeError"),
        (b"[1, 2]", "TypeError"),
    ],
)
def test_an_answer_that_is_no_object_counts_as_none(
    server: ScriptedApi, api: HttpApi, body: bytes, want: str
) -> None:
    server.answers(200, body)
    message = f"{PLACE}: no answer from the API server, got {want}; tried again"
    with pytest.raises(UnreachableError, match=f"^{re.escape(message)}$"):
        fetch(api)


def reset_at_once(_: Asked, wire: Wire) -> None:
    wire.cut(reset=True)


def close_at_once(_: Asked, wire: Wire) -> None:
    wire.cut()


def cut_in_body(_: Asked, wire: Wire) -> None:
    wire.begin(200, Content_Length="100")
    wire.write(b"{")
    wire.cut()


def cut_in_chunk(_: Asked, wire: Wire) -> None:
    wire.begin_stream()
    wire.write(b"64\r\n{")
    wire.cut()


def cut_between_chunks(_: Asked, wire: Wire) -> None:
    wire.begin_stream()
    wire.chunk(b"{}")
    wire.cut()


@pytest.mark.parametrize(
    "play", [reset_at_once, close_at_once, cut_in_body, cut_in_chunk, cut_between_chunks]
)
def test_a_broken_connection_is_tried_again_and_harms_no_later_request(
    server: ScriptedApi, api: HttpApi, play: Callable[[Asked, Wire], None]
) -> None:
    server.plays.append(play)
    server.answers(200, {"kind": "Pod"})
    with pytest.raises(UnreachableError, match="no answer from the API server, got ") as caught:
        fetch(api)
    assert caught.value.delay_s == 1.0
    assert fetch(api) == {"kind": "Pod"}


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        absent = ScriptedApi(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UnreachableError, match="got NewConnectionError; tried again"):
            fetch(make_api(absent))


def silent(_: Asked, wire: Wire) -> None:
    wire.hang()


def silent_in_body(_: Asked, wire: Wire) -> None:
    wire.begin(200, Content_Length="100")
    wire.hang()


def drips(_: Asked, wire: Wire) -> None:
    wire.begin(200, Content_Length="100000")
    wire.drip(b" ", every_s=LIMIT_S / 10)


def drips_without_end(_: Asked, wire: Wire) -> None:
    wire.begin(200, Connection="close")
    wire.drip(b" ", every_s=LIMIT_S / 10)


def drips_a_refusal(_: Asked, wire: Wire) -> None:
    wire.begin(500, Content_Length="100000")
    wire.drip(b" ", every_s=LIMIT_S / 10)


@pytest.mark.parametrize(
    "play", [silent, silent_in_body, drips, drips_without_end, drips_a_refusal]
)
def test_a_request_ends_within_its_time(
    either: tuple[ScriptedApi, HttpApi], play: Callable[[Asked, Wire], None]
) -> None:
    server, api = either
    server.plays.append(play)
    began_s = time.monotonic()
    with pytest.raises(UnreachableError, match=r"got (ReadTimeoutError|TimeoutError); tried again"):
        fetch(api.with_timeout(LIMIT_S))
    assert LIMIT_S / 2 < time.monotonic() - began_s < LIMIT_S + SLACK_S


def test_a_late_answer_harms_no_later_request(either: tuple[ScriptedApi, HttpApi]) -> None:
    server, api = either
    server.plays.append(drips)
    server.answers(200, {"kind": "Pod"})
    with pytest.raises(UnreachableError):
        fetch(api.with_timeout(LIMIT_S))
    assert fetch(api) == {"kind": "Pod"}


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_without_time_nothing_is_asked(server: ScriptedApi, api: HttpApi, timeout_s: float) -> None:
    server.answers(200, {})
    with pytest.raises(UnreachableError, match=f"^{PLACE}: .* got TimeoutError; tried again$"):
        fetch(api.with_timeout(timeout_s))
    assert server.asked == []


def test_a_limit_holds_for_its_view_alone(server: ScriptedApi, api: HttpApi) -> None:
    def play(_: Asked, wire: Wire) -> None:
        wire.over.wait(LIMIT_S)
        wire.send(200, {"kind": "Pod"})

    server.plays.append(play)
    with pytest.raises(UnreachableError):
        fetch(api.with_timeout(LIMIT_S / 3))
    assert fetch(api) == {"kind": "Pod"}


def test_an_unknown_authority_is_unreachable(either: tuple[ScriptedApi, HttpApi]) -> None:
    server, api = either
    server.answers(200, {"kind": "Pod"})
    if server.url.startswith("https"):
        with pytest.raises(UnreachableError, match="got SSLError; tried again"):
            fetch(make_api(server))
    assert fetch(api) == {"kind": "Pod"}
