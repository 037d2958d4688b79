"""The index of a large store: seconds to load it, memory, lookups.

Segments of random keys are written to a folder first; a process of its own then loads them as stage
generate does at its start, and looks some of the keys up, and others that aren't there.

    python -m benchmarks.store --keys 10000000 --segment-rows 20000 --text-bytes 100
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ray_jobs.answers.store import load_index
from ray_jobs.storage.local import LocalStorage

PREFIX = "teacher/bench/segments"
_REPOSITORY = Path(__file__).parents[1]
_NUM_LOOKUPS = 20_000


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark and prints its result; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="benchmarks.store", description="The index's size.")
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--segment-rows", type=int, default=20_000)
    parser.add_argument("--text-bytes", type=int, default=100)
    parser.add_argument("--load", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.load:
        _load(Path(options.load))
        return 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        started_at = time.monotonic()
        _write_segments(root, options)
        sys.stdout.write(f"segments written in {time.monotonic() - started_at:.1f} s\n")
        sys.stdout.flush()
        subprocess.run(
            [sys.executable, "-m", "benchmarks.store", "--load", name], cwd=_REPOSITORY, check=True
        )
    return 0


def _write_segments(root: Path, options: argparse.Namespace) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / PREFIX
    folder.mkdir(parents=True)
    sample: list[str] = []
    for number in range(-(-options.keys // options.segment_rows)):
        rows = min(options.segment_rows, options.keys - number * options.segment_rows)
        keys = [os.urandom(32).hex() for _ in range(rows)]
        text = os.urandom(options.text_bytes // 2).hex()
        numbers = pa.array(np.full(rows, 64, dtype=np.int32))
        table = pa.table(
            {
                "key": keys,
                "text": [text] * rows,
                "finish_reason": ["stop"] * rows,
                "num_prompt_tokens": numbers,
                "num_tokens": numbers,
                "max_model_len": numbers,
            }
        )
        pq.write_table(table, folder / f"{number:08d}.parquet", compression="zstd")
        sample += random.sample(keys, min(rows, 50))
    (root / "sample.json").write_text(json.dumps(sample), "utf-8")


def _load(root: Path) -> None:
    sample = json.loads((root / "sample.json").read_text("utf-8"))[:_NUM_LOOKUPS]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started_at = time.monotonic()
    index = load_index(LocalStorage(root), PREFIX, scratch=root / "scratch")
    loaded_s = time.monotonic() - started_at
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unknown = [os.urandom(32).hex() for _ in sample]
    started_at = time.monotonic()
    assert all(index.get(key) is not None for key in sample)
    found_s = time.monotonic() - started_at
    assert all(index.get(key) is None for key in unknown)
    sys.stdout.write(
        f"{len(index):,} keys in {loaded_s:.1f} s; peak {peak / 1024:.0f} MiB, "
        f"{(peak - before) / 1024:.0f} MiB of it the index; "
        f"{len(sample) / found_s:,.0f} lookups/s with their text\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
