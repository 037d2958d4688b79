"""One key of a ConfigMap, written over the API server's HTTPS with the pod's own account.

Used by ``progress_map.py``, which decides what is written and when. The account needs the verbs
get and patch on that one ConfigMap. Nothing is retried here but a write that crossed another's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from pydantic import ValidationError

from distillery.errors import TransientError, word
from distillery.progress import StepRecord

UNWRITTEN = "ProgressUnwritten"
"""The reason of a write that failed."""

MAX_CROSSINGS = 8
"""Writes in a row that met another step's: each writes once in 10 s, so a third is rare already."""

_TIMEOUT_S = (5.0, 10.0)
"""To connect, and to wait for an answer."""
_CONFLICT = 409
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, kw_only=True)
class ApiAccess:
    """How the API server is reached: ``account`` is the folder with the service account's
    ``token`` and ``ca.crt``."""

    url: str
    account: Path


class ConfigMapKey:
    """The key ``key`` of a ConfigMap, for one writer. Use from one thread.

    What else changes in the ConfigMap is left alone: the write is a merge patch of the key, valid
    only for the version that was looked at.
    """

    def __init__(self, access: ApiAccess, *, namespace: str, name: str, key: str) -> None:
        self._url = f"{access.url}/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._place = f"configmap {namespace}/{name}"
        self._account = access.account
        self._key = key
        self._version = ""
        self._session = requests.Session()
        # Neither a proxy nor ~/.netrc has a part in it.
        self._session.trust_env = False

    def write(self, record: StepRecord) -> bool:
        """Puts the record there. False, writing nothing, where a later attempt has written.

        Raises:
            TransientError: ``ProgressUnwritten``; ``delay_s`` is what the server asked for, or 0.
        """
        for _ in range(MAX_CROSSINGS):
            if not self._version and not self._look(record):
                return False
            if self._patch(record):
                return True
        raise self._failure("other writers were faster", got=f"{MAX_CROSSINGS} conflicts")

    def _look(self, record: StepRecord) -> bool:
        """Learns the version; False where what stands there is a later attempt's."""
        found = self._answer(self._send("GET"))
        text = (found.get("data") or {}).get(self._key, "")
        try:
            present = StepRecord.model_validate_json(text)
        except ValidationError:
            present = None  # Nothing yet, or nothing of ours.
        if present is not None and present.attempt > record.attempt:
            return False
        self._version = _version_of(found)
        return True

    def _patch(self, record: StepRecord) -> bool:
        """False where the ConfigMap is no longer of the version that was looked at."""
        patch = {
            "metadata": {"resourceVersion": self._version},
            "data": {self._key: json.dumps(record.dump(), separators=(",", ":"))},
        }
        self._version = ""
        response = self._send("PATCH", body=json.dumps(patch).encode())
        if response.status_code == _CONFLICT:
            return False
        self._version = _version_of(self._answer(response))
        return True

    def _send(self, method: str, *, body: bytes | None = None) -> requests.Response:
        try:
            # Read each time: the token is replaced every hour or so.
            token = (self._account / "token").read_text("utf-8").strip()
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            if body is not None:
                headers["Content-Type"] = _MERGE_PATCH
            return self._session.request(
                method,
                self._url,
                data=body,
                headers=headers,
                verify=str(self._account / "ca.crt"),
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
        except (OSError, UnicodeDecodeError, requests.RequestException) as error:
            raise self._failure("can't be reached", got=type(error).__name__) from error

    def _answer(self, response: requests.Response) -> Mapping[str, Any]:
        """The object in the answer."""
        if response.status_code != requests.codes.ok:
            delay_s = _retry_after_s(response.headers)
            got = f"status {response.status_code}"
            raise self._failure("the API server refused", got=got, delay_s=delay_s)
        try:
            found = response.json()
            _version_of(found)
        except (ValueError, KeyError, TypeError) as error:
            raise self._failure("the answer is no object", got=type(error).__name__) from error
        return dict(found)

    def _failure(self, problem: str, *, got: str, delay_s: float = 0.0) -> TransientError:
        way_out = "see the pod's service account and the API server"
        message = word(self._place, f"progress isn't written, {problem}, got {got}; {way_out}")
        return TransientError(message, reason=UNWRITTEN, delay_s=delay_s)


def _version_of(found: Mapping[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds, or the time from the answer's own date to the one named; 0 where nothing is said."""
    text = headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return 0.0
