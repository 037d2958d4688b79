"""Reads and writes one Lease, each request with a limit in time. When to is ``elector.py``'s."""

from collections.abc import Callable

from controller.kube.api import Json
from controller.kube.faults import NotFoundError
from controller.kube.resources import LEASES
from controller.runtime.fencing import TimedApi
from controller.runtime.lease import (
    Candidacy,
    LeaseRecord,
    build_claim,
    build_free_lease,
    build_held_lease,
    build_release,
    build_renewal,
    parse_lease,
)
from controller.runtime.timestamps import to_microseconds


class LeaseStore:
    """The lease a candidate stands for. Each write holds only for the record it is given, and
    returns the new one. From one thread at a time.

    Args:
        wall: Seconds since the epoch.
    """

    def __init__(self, api: TimedApi, *, candidacy: Candidacy, wall: Callable[[], float]) -> None:
        self._api = api
        self._who = candidacy
        self._wall = wall
        self._written_us = 0

    def fetch(self, *, timeout_s: float) -> LeaseRecord | None:
        """The lease; None where there is none."""
        try:
            found = self._api.with_timeout(timeout_s).fetch(
                LEASES, namespace=self._who.namespace, name=self._who.name
            )
        except NotFoundError:
            return None
        return parse_lease(found)

    def create_free(self, *, timeout_s: float) -> LeaseRecord:
        """Makes a lease that nobody holds. Raises: ``AlreadyExistsError``."""
        return self._create(build_free_lease(self._who), timeout_s)

    def claim(self, record: LeaseRecord, *, timeout_s: float) -> LeaseRecord:
        """Makes the lease the candidate's.

        Raises: ``ConflictError``, ``NotFoundError`` where it isn't as ``record`` says any more.
        """
        return self._merge(build_claim(self._who, record, now_us=self._next_us()), timeout_s)

    def renew(self, record: LeaseRecord | None, *, timeout_s: float) -> LeaseRecord:
        """Renews the leader's lease; makes it anew where it was deleted (None), and claims it anew
        where somebody freed it. Raises as ``claim``, and ``AlreadyExistsError``."""
        if record is None:
            return self._create(build_held_lease(self._who, now_us=self._next_us()), timeout_s)
        if record.holder != self._who.identity:
            return self.claim(record, timeout_s=timeout_s)
        return self._merge(build_renewal(self._who, record, now_us=self._next_us()), timeout_s)

    def release(self, record: LeaseRecord, *, timeout_s: float) -> None:
        """Frees the candidate's own lease. Raises as ``claim``."""
        self._merge(build_release(record, now_us=self._next_us()), timeout_s)

    def _create(self, body: Json, timeout_s: float) -> LeaseRecord:
        return parse_lease(self._api.with_timeout(timeout_s).create(LEASES, body))

    def _merge(self, patch: Json, timeout_s: float) -> LeaseRecord:
        api = self._api.with_timeout(timeout_s)
        name, namespace = self._who.name, self._who.namespace
        return parse_lease(api.merge(LEASES, namespace=namespace, name=name, patch=patch))

    def _next_us(self) -> int:
        """The date of a write. Later than the one before even where the machine's clock stands
        still or goes back: others see by it that the lease has changed."""
        self._written_us = max(to_microseconds(self._wall()), self._written_us + 1)
        return self._written_us
