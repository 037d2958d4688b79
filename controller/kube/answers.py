"""What the API server says instead of yes: HTTP statuses and Status objects as our errors.

No library's exception and no secret gets past here: messages name the request's method and path,
and what the server said of it, cut to a line.
"""

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Any

from controller.kube.api import Json
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
from distillery.errors import DistilleryError, word

DEFAULT_DELAY_S = 1.0
MAX_DELAY_S = 300.0
_KINDS: dict[int, tuple[type[ApiError], str]] = {
    400: (InvalidError, "Invalid"),
    403: (ForbiddenError, "Forbidden"),
    404: (NotFoundError, "NotFound"),
    409: (ConflictError, "Conflict"),
    410: (GoneError, "Gone"),
    422: (InvalidError, "Invalid"),
}
_UNAUTHORIZED, _TIMED_OUT, _TOO_MANY, _SERVER_ERRORS = 401, 408, 429, 500
_FORBIDDEN, _MISSING = 403, 404
_NO_RULE = " cannot "
"""What stands in every refusal by RBAC; quotas and admission policies refuse with 403 too."""


def fault_of(place: str, status: int, headers: Mapping[str, str], body: bytes) -> DistilleryError:
    """The error an answer stands for.

    Args:
        place: The request, such as ``GET /api/v1/pods``.
        headers: For Retry-After.
        body: A Status object, or anything.
    """
    return fault_of_status(place, _read_status(status, body), delay_s=retry_after_s(headers))


def fault_of_status(place: str, status: Json, *, delay_s: float | None = None) -> DistilleryError:
    """The error a Status object stands for."""
    given = status.get("code")
    code = given if isinstance(given, int) and given else _SERVER_ERRORS
    said = " ".join(str(status.get("message") or status.get("reason") or "nothing").split())
    if code == _TOO_MANY:
        wait_s = DEFAULT_DELAY_S if delay_s is None else delay_s
        message = word(place, f"the API server is busy, got {code}; tried again in {wait_s:g} s")
        return ThrottledError(message, reason="ApiThrottled", delay_s=wait_s)
    if code in {_UNAUTHORIZED, _TIMED_OUT} or code >= _SERVER_ERRORS:
        wait_s = DEFAULT_DELAY_S if delay_s is None else delay_s
        problem = f"the API server fails, got {code} {said[:80]}; tried again"
        return UnreachableError(word(place, problem), reason="ApiUnreachable", delay_s=wait_s)
    kind, reason = _KINDS.get(code, (ApiError, "Refused"))
    if status.get("reason") == "AlreadyExists":
        kind, reason = AlreadyExistsError, "AlreadyExists"
    problem = f"is refused, got {code} '{said[:150]}'{_way_out(code, said)}"
    return kind(word(place, problem), reason=reason, status_code=code)


def _way_out(code: int, said: str) -> str:
    if code == _FORBIDDEN and _NO_RULE in said:
        return "; let a role allow it"
    return "; see that the CRD and the namespace are there" if code == _MISSING else ""


def unreachable(place: str, error: Exception) -> UnreachableError:
    """The error for a request without an answer, or with a broken one."""
    problem = f"no answer from the API server, got {type(error).__name__}; tried again"
    return UnreachableError(word(place, problem), reason="ApiUnreachable", delay_s=DEFAULT_DELAY_S)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, as a number or a date; None where there is none to be understood."""
    text = (headers.get("Retry-After") or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until_s, now_s = _read_date(text), _read_date(headers.get("Date") or "")
        if until_s is None:
            return None
        seconds = until_s - (time.time() if now_s is None else now_s)
    return min(max(0.0, seconds), MAX_DELAY_S)


def _read_date(text: str) -> float | None:
    """Seconds since the epoch; the server's own clock is what its dates are measured by."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _read_status(code: int, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = {}
    if not isinstance(found, dict) or found.get("kind") != "Status":
        found = {"message": body[:200].decode(errors="replace")}
    return {**found, "code": code}
