"""The boto3 client of ``s3.py``: where it connects, how long it waits, how often it tries."""

import random
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from distillery.errors import SpecError
from ray_jobs.storage.s3_faults import UNREACHABLE, client_fault

NUM_FIRST_CONTACTS = 3
"""Connections tried before an endpoint that has never answered is called unreachable."""

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60
_MAX_DELAY_S = 20.0


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """How to reach the storage, and how hard to try.

    ``endpoint_url`` and ``region`` are boto3's defaults where ``None``. ``part_size_bytes`` is at
    least S3's 5 MiB: larger files go up in parts of it (larger ones where 10,000 don't suffice).
    ``max_attempts`` counts the tries of one request.
    """

    endpoint_url: str | None = None
    region: str | None = None
    part_size_bytes: int = 8 << 20
    num_threads: int = 10
    max_attempts: int = 8


def build_client(settings: S3Settings) -> Any:
    """A boto3 S3 client; nothing is sent yet.

    Bodies aren't signed a second time over HTTP: each bears its SHA-256 in a header, which is
    signed.

    Raises:
        SpecError: The endpoint is no URL.
        ExternalError: boto3's own configuration can't be used (reason ``AccessDenied``).
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        max_pool_connections=2 * settings.num_threads,
        s3={"payload_signing_enabled": False},
    )
    endpoint = settings.endpoint_url
    try:
        client = boto3.session.Session().client(
            "s3", endpoint_url=endpoint, region_name=settings.region, config=config
        )
    except ValueError as error:
        raise SpecError(
            f"storage.endpointUrl: must be an http or https URL, got {(endpoint or '')[:100]!r}; "
            "write it like https://s3.example.com"
        ) from error
    except BotoCoreError as error:
        raise client_fault(error, place="s3://", endpoint=endpoint or "AWS") from error
    FirstContact().watch(client.meta.events)
    return client


def backoff_s(attempt: int) -> float:
    """How long to wait after the ``attempt``-th failure: at random, up to 1, 2, 4 ... 20 s."""
    return random.random() * min(_MAX_DELAY_S, 2.0 ** (attempt - 1))


class FirstContact:
    """Ends a client's retries early while its endpoint has never answered.

    Then the address is wrong, and a user shouldn't wait for the minute of backoff which a storage
    that was there, and is gone for a moment, deserves.
    """

    def __init__(self) -> None:
        self._has_answered = False

    def watch(self, events: Any) -> None:
        """Registers with a boto3 client's event system."""
        events.register_first("needs-retry.s3", self._judge)

    def _judge(
        self, attempts: int, response: object, caught_exception: Exception | None, **_: object
    ) -> None:
        if response is not None:
            self._has_answered = True
        if isinstance(caught_exception, UNREACHABLE):
            is_wrong = not self._has_answered and attempts >= NUM_FIRST_CONTACTS
            if is_wrong:
                raise caught_exception
