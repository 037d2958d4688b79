"""Rows that are nearly equal: counted and shown; removed from train only on request.

Two rows are near duplicates where the estimated Jaccard similarity of their sets of three-word runs
is at least ``THRESHOLD`` (MinHash; templated data is one near duplicate by nature, which is why
nothing leaves unasked). Exact duplicates have left before.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ray_jobs.prepare.rows import Draft
from ray_jobs.records import Split

THRESHOLD = 0.8
"""Share of common three-word runs: one changed word in about thirty."""
NUM_PERMUTATIONS = 64
"""The estimate's standard deviation is then 0.05 at the threshold."""
_RUN_WORDS = 3
_SEED = 1


def find_near_duplicates(drafts: Mapping[Split, Sequence[Draft]]) -> dict[Split, list[int]]:
    """By split, the numbers of rows nearly equal to a row that has precedence.

    Test has precedence over validation, that over train; within a split the earlier row has it.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=NUM_PERMUTATIONS)
    sketches: dict[str, Any] = {}
    found: dict[Split, list[int]] = {}
    for split in (Split.TEST, Split.VALIDATION, Split.TRAIN):
        found[split] = []
        for draft, sketch in zip(drafts[split], _sketch(drafts[split]), strict=True):
            if any(sketch.jaccard(sketches[name]) >= THRESHOLD for name in index.query(sketch)):
                found[split].append(draft.number)
            name = f"{split}:{draft.number}"
            sketches[name] = sketch
            index.insert(name, sketch)
    return found


def _sketch(drafts: Sequence[Draft]) -> list[Any]:
    from datasketch import MinHash

    runs = [[run.encode() for run in word_runs(draft.key)] for draft in drafts]
    sketches: list[Any] = MinHash.bulk(runs, num_perm=NUM_PERMUTATIONS, seed=_SEED)
    return sketches


def word_runs(key: str) -> set[str]:
    """All runs of three words of a row's key; the whole text where it is shorter."""
    words = " ".join(json.loads(key)).split()
    if len(words) < _RUN_WORDS:
        return {" ".join(words)}
    return {
        " ".join(words[start : start + _RUN_WORDS]) for start in range(len(words) - _RUN_WORDS + 1)
    }
