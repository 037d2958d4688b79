"""Which events are written, and as what: a new one, one more of a series, or none.

The same thing said again of the same object counts up its event; an object about which too much is
said is cut short, as client-go's spam filter does. Pure but for its memory; ``recorder.py`` writes.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from controller.kube.api import Json
from controller.kube.resources import EVENTS
from controller.runtime.buckets import TokenBucket
from controller.runtime.timestamps import format_micro_time

MAX_NOTE_BYTES = 1024
MAX_WORD_CHARS = 128
MAX_NAME_CHARS = 253
"""What the API server takes for notes, for reasons and actions, and for names."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class Regarding:
    """The object an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """Something to tell. ``type`` is Normal or Warning; ``reason`` and ``action`` are CamelCase
    words: why it is told, and what was done or tried."""

    regarding: Regarding
    type: str
    reason: str
    action: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Who tells. ``controller`` is a qualified name such as ``distillery.dev/controller``,
    ``instance`` the pod's name."""

    controller: str
    instance: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """The event that an occurrence belongs to: its name, and how often it has been said."""

    name: str
    count: int


@dataclass(frozen=True, kw_only=True)
class EventLimits:
    """``burst`` events at once about one object, and one more each ``refill_s``. The same thing
    after ``series_s`` is a new event: the server may have dropped the old one. So many objects and
    events are remembered, the latest."""

    burst: int = 25
    refill_s: float = 300.0
    series_s: float = 1800.0
    num_remembered: int = 4096


class Correlator:
    """Remembers what was told. From one thread.

    Args:
        clock: Monotonic seconds.
        new_id: A word that was never used before, for names.
    """

    def __init__(
        self, limits: EventLimits, *, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._new_id = new_id
        self._buckets = _Latest[Regarding, TokenBucket](limits.num_remembered)
        self._series = _Latest[Occurrence, tuple[Series, float]](limits.num_remembered)

    def take_in(self, occurrence: Occurrence) -> Series | None:
        """The event it belongs to, this time counted; None where too much was said already."""
        bucket = self._buckets.get(occurrence.regarding)
        if bucket is None:
            rate_per_s = 1 / self._limits.refill_s
            bucket = TokenBucket(rate_per_s=rate_per_s, burst=self._limits.burst, clock=self._clock)
            self._buckets.put(occurrence.regarding, bucket)
        if not bucket.try_take():
            return None
        found = self._series.get(occurrence)
        if found is None or self._clock() - found[1] > self._limits.series_s:
            return self.begin(occurrence)
        more = Series(name=found[0].name, count=found[0].count + 1)
        self._series.put(occurrence, (more, self._clock()))
        return more

    def begin(self, occurrence: Occurrence) -> Series:
        """A new event for it."""
        suffix = f".{self._new_id()}"
        name = occurrence.regarding.name[: MAX_NAME_CHARS - len(suffix)] + suffix
        series = Series(name=name, count=1)
        self._series.put(occurrence, (series, self._clock()))
        return series

    def forget(self, occurrence: Occurrence) -> None:
        """Its event was never written."""
        self._series.drop(occurrence)


def shorten(occurrence: Occurrence) -> Occurrence:
    """The occurrence within what the API server takes."""
    note = occurrence.note.encode()
    if len(note) > MAX_NOTE_BYTES:
        note = note[: MAX_NOTE_BYTES - 3].decode(errors="ignore").encode() + b"..."
    return Occurrence(
        regarding=occurrence.regarding,
        type=occurrence.type,
        reason=occurrence.reason[:MAX_WORD_CHARS],
        action=occurrence.action[:MAX_WORD_CHARS],
        note=note.decode(),
    )


def build_event(occurrence: Occurrence, *, name: str, reporter: Reporter, now_us: int) -> Json:
    """The Event object of events.k8s.io/v1."""
    about = occurrence.regarding
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"namespace": about.namespace, "name": name},
        "eventTime": format_micro_time(now_us),
        "reportingController": reporter.controller,
        "reportingInstance": reporter.instance[:MAX_WORD_CHARS],
        "type": occurrence.type,
        "reason": occurrence.reason,
        "action": occurrence.action,
        "note": occurrence.note,
        "regarding": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
    }


def build_series_patch(*, count: int, now_us: int) -> dict[str, Any]:
    """The patch of an event that has been said ``count`` times."""
    return {"series": {"count": count, "lastObservedTime": format_micro_time(now_us)}}


class _Latest(Generic[_Key, _Value]):
    """A dictionary of the ``size`` entries that were used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[_Key, _Value] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """The entry, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Makes it the latest entry."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: _Key) -> None:
        """Forgets the entry."""
        self._entries.pop(key, None)
