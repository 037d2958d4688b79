"""The boto3 client of ``s3.py``: where it connects, how long it waits, how often it tries, and
whose keys it signs with (``credentials.py`` reads them)."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials
from botocore.credentials import ReadOnlyCredentials as FrozenCredentials
from botocore.exceptions import BotoCoreError

from distillery.errors import SpecError
from ray_jobs.storage.credentials import read_keys
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
    ``max_attempts`` counts the tries of one request. ``credentials`` is a folder of keys, see
    ``credentials.py``; ``None``: boto3's own chain finds them.
    """

    endpoint_url: str | None = None
    region: str | None = None
    part_size_bytes: int = 8 << 20
    num_threads: int = 10
    max_attempts: int = 8
    credentials: Path | None = None


def build_client(settings: S3Settings) -> Any:
    """A boto3 S3 client; nothing is sent yet.

    Bodies aren't signed a second time over HTTP: each bears its SHA-256 in a header, which is
    signed.

    Raises:
        SpecError: The endpoint is no URL; ``CredentialsMissing``.
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
        client = _session(settings.credentials).client(
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


def _session(credentials: Path | None) -> Any:
    if credentials is None:
        return boto3.session.Session()
    session = botocore.session.get_session()
    # Nothing else is asked: keys of the surroundings' would hide a mistake in the job's.
    resolver = CredentialResolver([_FolderProvider(credentials)])
    session.register_component("credential_provider", resolver)
    return boto3.session.Session(botocore_session=session)


class _FolderProvider(CredentialProvider):  # type: ignore[misc]
    METHOD = "distillery-folder"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def load(self) -> Credentials:
        return _FolderCredentials(self._folder)


class _FolderCredentials(Credentials):  # type: ignore[misc]
    """Keys that are read again for each signature, for they may be changed at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        keys = read_keys(folder)
        super().__init__(
            keys.access_key, keys.secret_key, keys.token or None, _FolderProvider.METHOD
        )

    def get_frozen_credentials(self) -> FrozenCredentials:
        keys = read_keys(self._folder)
        return FrozenCredentials(keys.access_key, keys.secret_key, keys.token or None)


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
