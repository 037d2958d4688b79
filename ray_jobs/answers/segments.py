"""One segment: an immutable Parquet file of answers, and its name. Bytes only, no storage."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from distillery.errors import ExternalError
from ray_jobs.answers.reuse import StoredAnswer

SUFFIX = ".parquet"
_PROVENANCE = b"distillery.provenance"
_COLUMNS = ("key", "text", "finish_reason", "num_prompt_tokens", "num_tokens", "max_model_len")
_NUMBERS = ("num_", "max_")


def segment_name(*, time_s: float, writer: str, number: int) -> str:
    """A name that sorts by time; unique if ``writer`` is and counts its ``number`` up."""
    return f"{int(time_s * 1e6):020d}-{writer}-{number:06d}{SUFFIX}"


def encode_segment(answers: Sequence[StoredAnswer], *, provenance: Mapping[str, Any]) -> bytes:
    """The file's bytes.

    Args:
        provenance: What is recorded with the answers but is no part of their keys (engine,
            version, seed, maxTokens), as JSON in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [(name, pa.int32() if name.startswith(_NUMBERS) else pa.string()) for name in _COLUMNS],
        metadata={_PROVENANCE: json.dumps(provenance, sort_keys=True).encode()},
    )
    columns = {name: [getattr(answer, name) for answer in answers] for name in _COLUMNS}
    columns["finish_reason"] = [answer.finish_reason.value for answer in answers]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def read_segment(data: bytes) -> Any:
    """A segment's bytes as an Arrow table of its columns. Read it within ``reading_segment``."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(data), columns=list(_COLUMNS)).select(_COLUMNS)


@contextmanager
def reading_segment(data: bytes, *, place: str) -> Iterator[None]:
    """Around the reading of what may be no segment.

    Args:
        place: Named in the error.

    Raises:
        ExternalError: ``SegmentUnreadable``: not what ``encode_segment`` wrote.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise ExternalError(
            f"{place[-120:]}: not a segment of answers, got {len(data)} bytes; "
            "restore it, or delete it to have its answers generated again",
            reason="SegmentUnreadable",
        ) from error


def read_provenance(data: bytes) -> dict[str, Any]:
    """What a segment records of how its answers were made."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(io.BytesIO(data)).metadata
    provenance: dict[str, Any] = json.loads(metadata[_PROVENANCE])
    return provenance
