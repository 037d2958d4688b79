"""When the shipper ships, and how its process ends: by SIGTERM, with the last words shipped.

What it ships is ``shipper.py``'s. Storage that fails never ends it.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distillery.errors import InvariantError
from ray_jobs.logs.shipper import Shipper
from ray_jobs.storage.keys import join_key
from ray_jobs.storage.opening import open_storage

_LOG = logging.getLogger(__name__)

LOGS_FOLDER = Path("/tmp/ray/session_latest/logs")

Ship = Callable[[], int | None]
"""``Shipper.ship``."""


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """Seconds. ``interval_s`` between rounds; after SIGTERM ``settle_s``, until a round finds
    nothing new or ``grace_s`` are over. Kubernetes' own grace is 30 s."""

    interval_s: float = 30.0
    settle_s: float = 2.0
    grace_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where logs go, as the pod's environment says it."""

    uri: str
    endpoint_url: str
    region: str
    credentials_ref: str
    prefix: str


def read_destination(environment: Mapping[str, str]) -> Destination:
    """The pod's. Raises ``InvariantError`` where something is missing."""
    for variable in ("DISTILLERY_STORAGE_URI", "DISTILLERY_LOG_PREFIX", "POD_NAME"):
        if not environment.get(variable):
            raise InvariantError(f"{variable}: must be set for the log shipper, got nothing")
    return Destination(
        uri=environment["DISTILLERY_STORAGE_URI"],
        endpoint_url=environment.get("DISTILLERY_STORAGE_ENDPOINT", ""),
        region=environment.get("DISTILLERY_STORAGE_REGION", ""),
        credentials_ref=environment.get("DISTILLERY_STORAGE_CREDENTIALS", ""),
        prefix=join_key(environment["DISTILLERY_LOG_PREFIX"], environment["POD_NAME"]),
    )


def make_shipper(destination: Destination, *, folder: Path) -> Shipper:
    """The shipper of this pod; nothing is opened yet."""
    return Shipper(
        folder,
        open_storage=lambda: open_storage(
            destination.uri,
            endpoint_url=destination.endpoint_url or None,
            region=destination.region or None,
            credentials_ref=destination.credentials_ref or None,
        ),
        prefix=destination.prefix,
    )


def run_until_terminated(ship: Ship, *, rhythm: Rhythm | None = None) -> None:
    """Ships until SIGTERM or SIGINT, then what is left; returns within the grace period."""
    rhythm = rhythm or Rhythm()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(
        target=ship_until, args=(ship, stop), kwargs={"rhythm": rhythm}, daemon=True
    )
    thread.start()
    stop.wait()
    thread.join(rhythm.grace_s)
    if thread.is_alive():
        _LOG.warning("the last logs aren't shipped, the time is over grace_s=%g", rhythm.grace_s)


def ship_until(
    ship: Ship,
    stop: threading.Event,
    *,
    rhythm: Rhythm,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Ships again and again until ``stop``, then until nothing more comes."""
    while not stop.is_set():
        _try(ship)
        stop.wait(rhythm.interval_s)
    ends_at = clock() + rhythm.grace_s
    while _try(ship) != 0 and clock() + rhythm.settle_s < ends_at:
        # The other containers of the pod are still saying their last words.
        sleep(rhythm.settle_s)


def _try(ship: Ship) -> int | None:
    try:
        return ship()
    except Exception:  # noqa: BLE001 - the loop's edge: logs must not stop for one bad round
        _LOG.exception("logs can't be shipped this time")
        return None
