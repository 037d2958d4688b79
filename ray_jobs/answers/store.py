"""One teacher's answers in storage: all segments read at once, new ones created, none changed.

``generate`` reads an ``AnswerIndex`` at its start; each engine writes through its own
``SegmentWriter``. Compaction, claims between jobs and garbage collection are not done here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from distillery.manifests import teacher_prefix
from ray_jobs.answers.index import AnswerIndex
from ray_jobs.answers.keys import TeacherIdentity
from ray_jobs.answers.reuse import StoredAnswer
from ray_jobs.answers.segments import (
    SUFFIX,
    encode_segment,
    read_segment,
    reading_segment,
    segment_name,
)
from ray_jobs.answers.stored import StoredAnswersBuilder
from ray_jobs.storage.base import Storage
from ray_jobs.storage.faults import os_faults

_NUM_READERS = 8
"""Segments are small and a read waits for the network: a few at once, within boto3's pool."""
_NUM_AHEAD = 64
"""Segments in memory at once."""
TEXTS = "answers.texts"
"""The scratch file of the stored answers' texts."""


def segments_prefix(*, namespace: str, teacher: TeacherIdentity) -> str:
    """The key below which this teacher's segments lie."""
    prefix = teacher_prefix(namespace=namespace, fingerprint=teacher.fingerprint)
    return f"{prefix}/segments"


def load_index(storage: Storage, prefix: str, *, scratch: Path) -> AnswerIndex:
    """The winners of all segments below ``prefix``.

    Args:
        scratch: A folder of this machine for their texts: as large as all of them.

    Raises:
        ExternalError: ``SegmentUnreadable``; storage's own.
        ResourceError: ``DiskFull``.
    """
    keys = sorted(found.key for found in storage.list(f"{prefix}/") if found.key.endswith(SUFFIX))
    place = scratch / TEXTS
    with (
        os_faults(str(place)),
        StoredAnswersBuilder(place) as builder,
        ThreadPoolExecutor(_NUM_READERS, thread_name_prefix="segments") as pool,
    ):
        for start in range(0, len(keys), _NUM_AHEAD):
            some = keys[start : start + _NUM_AHEAD]
            for key, data in zip(some, pool.map(storage.get_bytes, some), strict=True):
                with reading_segment(data, place=storage.uri_of(key)):
                    builder.add(key.removeprefix(f"{prefix}/"), read_segment(data))
        return AnswerIndex(builder.build())


class SegmentWriter:
    """Creates one writer's segments.

    Args:
        prefix: Of ``segments_prefix``.
        writer: Unique among all writers there will ever be.
        provenance: Recorded in every segment.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        storage: Storage,
        prefix: str,
        *,
        writer: str,
        provenance: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._prefix = prefix
        self._writer = writer
        self._provenance = dict(provenance)
        self._clock = clock
        self._number = 0

    def write(self, answers: Sequence[StoredAnswer]) -> str:
        """Makes the answers durable. Returns the segment's name."""
        data = encode_segment(answers, provenance=self._provenance)
        while True:
            name = segment_name(time_s=self._clock(), writer=self._writer, number=self._number)
            self._number += 1
            if self._storage.put_new(f"{self._prefix}/{name}", data):
                return name
