"""What a job's PriorityClass is worth in the launch order: asked for when a job wants to start.

Kept for a minute: classes hardly change, and their values never do.
"""

import logging
import threading
from collections.abc import Callable

from controller.kube.api import ReadApi
from controller.kube.faults import ForbiddenError, NotFoundError
from controller.kube.resources import PRIORITY_CLASSES

_LOG = logging.getLogger(__name__)
KEPT_S = 60.0
NO_PRIORITY = 0
"""Of jobs that name no class, as of pods where the cluster has no default."""


class Priorities:
    """Looks classes up; thread-safe.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, api: ReadApi, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def value_of(self, name: str) -> int:
        """The class's value, higher goes first; 0 for no name, and for a class that isn't there
        or may not be read (a warning says so).

        Raises: The API's other faults.
        """
        if not name:
            return NO_PRIORITY
        with self._lock:
            asked_at, value = self._known.get(name, (float("-inf"), NO_PRIORITY))
            if self._clock() - asked_at < KEPT_S:
                return value
        value = self._fetch(name)
        with self._lock:
            self._known[name] = (self._clock(), value)
        return value

    def _fetch(self, name: str) -> int:
        try:
            found = self._api.fetch(PRIORITY_CLASSES, namespace="", name=name)
        except (NotFoundError, ForbiddenError) as error:
            _LOG.warning(
                "priority class counts as 0 in the launch order class=%s reason=%s",
                name,
                error.reason,
            )
            return NO_PRIORITY
        return int(found.get("value", NO_PRIORITY))
