"""Upload speed of ``ray_jobs.storage`` against boto3's own ``upload_file``, on a local S3 server.

Prints MB/s of both, measured in pairs of alternating order, and the median of the pairs' ratios
(ours / plain) with a 95% bootstrap interval. Same file, server, part size and number of threads on
both sides; ours sends SHA-256 checksums and computes the file's SHA-256, plain sends boto3's
default CRC.

    python -m benchmarks.upload --size-mib 128 --pairs 7
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig

from ray_jobs.storage.s3 import S3Storage
from ray_jobs.storage.s3_client import S3Settings
from tests.servers.seaweedfs import S3Server, running_s3

BUCKET = "benchmark"
NUM_RESAMPLES = 10_000


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark and prints its result; the exit code is 0."""
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as name, running_s3(Path(name)) as server:
        os.environ.update(server.environment)
        server.create_bucket(BUCKET)
        path = Path(name) / "upload.bin"
        _write_random(path, num_mib=options.size_mib)
        ours, plain = _build_uploads(server, path, options)
        for upload in (ours, plain):
            upload("warm-up")
        pairs = []
        for pair in range(options.pairs):
            order = (ours, plain) if pair % 2 == 0 else (plain, ours)
            speed = {
                upload: _measure(upload, key=str(pair), num_mib=options.size_mib)
                for upload in order
            }
            pairs.append((speed[ours], speed[plain]))
            sys.stdout.write(f"pair {pair}: ours {speed[ours]:.1f} plain {speed[plain]:.1f} MB/s\n")
    _report(pairs, options)
    return 0


Upload = Callable[[str], None]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.upload", description="Upload speed.")
    defaults = S3Settings()
    part_mib = defaults.part_size_bytes >> 20
    parser.add_argument("--size-mib", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--part-mib", type=int, default=part_mib)
    parser.add_argument("--plain-part-mib", type=int, default=part_mib)
    parser.add_argument("--plain-threads", type=int, default=defaults.num_threads)
    options = parser.parse_args(arguments)
    if options.pairs < 5:
        parser.error("--pairs: must be at least 5")
    return options


def _build_uploads(
    server: S3Server, path: Path, options: argparse.Namespace
) -> tuple[Upload, Upload]:
    """Ours and boto3's; each uploads ``path`` under the key it is given."""
    settings = S3Settings(
        endpoint_url=server.endpoint_url,
        region="us-east-1",
        part_size_bytes=options.part_mib << 20,
    )
    storage = S3Storage(BUCKET, settings=settings)
    client = boto3.session.Session().client("s3", endpoint_url=server.endpoint_url)
    transfer = TransferConfig(
        multipart_chunksize=options.plain_part_mib << 20, max_concurrency=options.plain_threads
    )

    def ours(key: str) -> None:
        storage.put_file(f"ours/{key}", path)

    def plain(key: str) -> None:
        client.upload_file(str(path), BUCKET, f"plain/{key}", Config=transfer)

    return ours, plain


def _measure(upload: Upload, *, key: str, num_mib: int) -> float:
    """MB/s of one upload. Keys differ, so that the server has nothing to remove."""
    start_s = time.perf_counter()
    upload(key)
    return num_mib * 1.048576 / (time.perf_counter() - start_s)


def _write_random(path: Path, *, num_mib: int) -> None:
    with path.open("wb") as stream:
        for _ in range(num_mib):
            stream.write(os.urandom(1 << 20))


def _report(pairs: Sequence[tuple[float, float]], options: argparse.Namespace) -> None:
    ratios = [ours / plain for ours, plain in pairs]
    resample = random.Random(0)
    medians = sorted(
        statistics.median(resample.choices(ratios, k=len(ratios))) for _ in range(NUM_RESAMPLES)
    )
    low, high = medians[int(0.025 * NUM_RESAMPLES)], medians[int(0.975 * NUM_RESAMPLES)]
    sys.stdout.write(
        f"size {options.size_mib} MiB, {len(pairs)} pairs, part {options.part_mib} MiB "
        f"(plain {options.plain_part_mib} MiB, {options.plain_threads} threads), "
        f"{os.cpu_count()} cores\n"
        f"ours  {statistics.median(ours for ours, _ in pairs):.1f} MB/s\n"
        f"plain {statistics.median(plain for _, plain in pairs):.1f} MB/s\n"
        f"ratio {statistics.median(ratios):.3f} (95% interval {low:.3f} to {high:.3f})\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
