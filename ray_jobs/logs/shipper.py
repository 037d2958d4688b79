"""A round over all logs of this pod: what is new goes up, what is too much goes away.

When rounds are is ``running.py``'s.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from distillery.errors import DistilleryError
from ray_jobs.logs.files import find_logs
from ray_jobs.logs.following import FollowedLog
from ray_jobs.logs.parts import Limits, Part, choose_dropped, list_parts
from ray_jobs.storage.base import Storage

_LOG = logging.getLogger(__name__)


class Shipper:
    """Ships the logs below a folder.

    Args:
        folder: The session's logs; it may appear later, or become another session's.
        open_storage: Opens the storage; called again until it works.
        prefix: The pod's own key prefix.
        limits: Sizes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        open_storage: Callable[[], Storage],
        prefix: str,
        limits: Limits | None = None,
    ) -> None:
        self._folder = folder
        self._open_storage = open_storage
        self._prefix = prefix
        self._limits = limits or Limits()
        self._storage: Storage | None = None
        self._logs: dict[str, FollowedLog] = {}

    def ship(self) -> int | None:
        """Uploads what is new. Returns its bytes, None where storage failed: the next call goes on
        from there."""
        try:
            return self._ship()
        except DistilleryError as error:
            _LOG.warning(
                "logs wait for the storage reason=%s message=%s", error.reason, error.message
            )
            return None

    def _ship(self) -> int:
        storage = self._connect()
        num_bytes = 0
        for name, files in find_logs(self._folder).items():
            log = self._logs.get(name)
            if log is None:
                log = self._logs[name] = self._follow(storage, name)
            try:
                num_bytes += log.ship(files)
            except OSError as error:
                _LOG.warning("log can't be read log=%s error=%s", name, type(error).__name__)
        self._make_room()
        return num_bytes

    def _connect(self) -> Storage:
        if self._storage is None:
            storage = self._open_storage()
            for name, parts in list_parts(storage, self._prefix).items():
                self._logs[name] = self._follow(storage, name, parts)
            self._storage = storage
        return self._storage

    def _follow(self, storage: Storage, name: str, parts: list[Part] | None = None) -> FollowedLog:
        return FollowedLog(
            storage, prefix=self._prefix, name=name, parts=parts or [], limits=self._limits
        )

    def _make_room(self) -> None:
        dropped = choose_dropped(
            {name: log.parts for name, log in self._logs.items()}, self._limits
        )
        for name, parts in dropped.items():
            self._logs[name].drop(parts)
