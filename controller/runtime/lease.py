"""A Lease object as the elector reads and writes it: who leads, and how long others must wait.

Pure: ``elector.py`` decides when. Its dates are for people; equal records mean that nobody has
written between, which is all that is read from them.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from controller.kube.api import Json
from controller.kube.resources import LEASES
from controller.runtime.timestamps import format_micro_time

RELEASED_S = 1
"""How long others wait for a lease that its holder has freed. One without a holder that says
another duration, or none, was edited by hand: its last holder may not know."""


@dataclass(frozen=True, kw_only=True)
class LeaseTiming:
    """How long a lease lasts, in seconds.

    Others wait ``duration_s`` since they saw it change; the holder gives up ``renew_deadline_s``
    after its last renewal, which must be less: the rest is the margin for requests on their way
    and for clocks of unequal speed. It renews, and others look, every ``retry_s``.
    """

    duration_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration_s > self.renew_deadline_s > 2 * self.retry_s > 0:
            raise ValueError(
                "lease timing: must be duration > renew deadline > 2 x retry > 0, got "
                f"{self.duration_s:g}, {self.renew_deadline_s:g} and {self.retry_s:g} s; "
                "use 15, 10 and 2"
            )


@dataclass(frozen=True, kw_only=True)
class Candidacy:
    """Who stands for which lease. ``identity`` must be another one for each process start, such as
    the pod's name and a random word."""

    namespace: str
    name: str
    identity: str
    timing: LeaseTiming = field(default_factory=LeaseTiming)


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """A lease as read once. ``holder`` is empty where there is none; ``duration_s`` is 0 where it
    isn't said. ``version`` takes no part in comparison: labels may change."""

    uid: str
    holder: str
    duration_s: float
    renewed: str
    num_transitions: int
    version: str = field(compare=False)


def wait_of(record: LeaseRecord, candidacy: Candidacy) -> float:
    """How long the lease must have stood still before the candidate may take it."""
    own_s = candidacy.timing.duration_s
    if record.holder == candidacy.identity:
        return 0.0
    if not record.holder:
        return record.duration_s or own_s
    return max(record.duration_s, own_s)


def parse_lease(obj: Json) -> LeaseRecord:
    """The record in a Lease object, which may be without a spec."""
    spec = obj.get("spec") or {}
    return LeaseRecord(
        uid=obj["metadata"]["uid"],
        holder=spec.get("holderIdentity") or "",
        duration_s=float(spec.get("leaseDurationSeconds") or 0),
        renewed=spec.get("renewTime") or "",
        num_transitions=int(spec.get("leaseTransitions") or 0),
        version=obj["metadata"]["resourceVersion"],
    )


def build_free_lease(candidacy: Candidacy) -> Json:
    """A new Lease that nobody holds, and that nobody may take before its duration is over: where
    it was deleted, its last holder may not know yet."""
    spec = {"leaseDurationSeconds": math.ceil(candidacy.timing.duration_s), "leaseTransitions": 0}
    return _lease(candidacy, spec)


def build_held_lease(candidacy: Candidacy, *, now_us: int) -> Json:
    """A new Lease that the candidate holds, for a leader whose lease was deleted."""
    return _lease(candidacy, {**_claim(candidacy, now_us), "leaseTransitions": 0})


def build_claim(candidacy: Candidacy, record: LeaseRecord, *, now_us: int) -> Json:
    """The patch that makes the lease the candidate's, if nobody has written since ``record``."""
    more = 1 if record.holder != candidacy.identity else 0
    spec = {**_claim(candidacy, now_us), "leaseTransitions": record.num_transitions + more}
    return {"metadata": {"resourceVersion": record.version}, "spec": spec}


def build_renewal(candidacy: Candidacy, record: LeaseRecord, *, now_us: int) -> Json:
    """The patch that renews the candidate's own lease, if nobody has written since ``record``."""
    spec = {
        "leaseDurationSeconds": math.ceil(candidacy.timing.duration_s),
        "renewTime": format_micro_time(now_us),
    }
    return {"metadata": {"resourceVersion": record.version}, "spec": spec}


def build_release(record: LeaseRecord, *, now_us: int) -> Json:
    """The patch that frees the lease, if nobody has written since ``record``."""
    spec = {
        "holderIdentity": None,
        "leaseDurationSeconds": RELEASED_S,
        "renewTime": format_micro_time(now_us),
    }
    return {"metadata": {"resourceVersion": record.version}, "spec": spec}


def _lease(candidacy: Candidacy, spec: Json) -> Json:
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"namespace": candidacy.namespace, "name": candidacy.name},
        "spec": spec,
    }


def _claim(candidacy: Candidacy, now_us: int) -> dict[str, Any]:
    date = format_micro_time(now_us)
    return {
        "holderIdentity": candidacy.identity,
        "leaseDurationSeconds": math.ceil(candidacy.timing.duration_s),
        "acquireTime": date,
        "renewTime": date,
    }
