"""Dates as the API server writes them. For people to read: nothing is decided by a date, since
clocks of two machines differ; see ``clock.py`` for time that decides."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_micro_time(epoch_us: int) -> str:
    """The API server's MicroTime, such as ``2026-01-01T00:00:00.000001Z``.

    Args:
        epoch_us: Microseconds since the epoch.
    """
    date = _EPOCH + timedelta(microseconds=epoch_us)
    return date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_microseconds(epoch_s: float) -> int:
    """Seconds since the epoch as whole microseconds."""
    return round(epoch_s * 1_000_000)
