"""Draws rows at random, the same ones for the same seed and file, in one pass."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from ray_jobs.prepare.readers import RawRow


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The drawn rows in file order, out of ``num_read``."""

    rows: list[RawRow]
    num_read: int


def sample_rows(rows: Iterable[RawRow], *, max_rows: int | None, seed: str) -> Sample:
    """At most ``max_rows`` of ``rows``, each subset equally likely (reservoir sampling: no more
    rows than that are held). Which ones depends on ``seed`` and the order of rows."""
    # Not for secrets: repeatable draws are the point.
    rng = random.Random(seed)
    kept: list[RawRow] = []
    num_read = 0
    for row in rows:
        num_read += 1
        if max_rows is None or len(kept) < max_rows:
            kept.append(row)
            continue
        place = rng.randrange(num_read)
        if place < max_rows:
            kept[place] = row
    return Sample(rows=sorted(kept, key=lambda row: row.number), num_read=num_read)
