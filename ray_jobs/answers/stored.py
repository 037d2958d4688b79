"""All answers that lie in a store, one a key, in some 45 bytes each; their texts stay on disk.

Built once from the segments, in the order of their names, then only read. Texts are copied into a
scratch file as the segments come in, and read back one by one. What engines answer meanwhile is
``index.py``'s.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray_jobs.answers.reuse import Held, StoredAnswer
from ray_jobs.engines.base import FinishReason

KEY_CHARS = 64
"""A row key is a SHA-256 in hex. Its first half tells 10 million keys apart: two agree in it with a
probability below 1e-24."""
_FINISHES = tuple(FinishReason)
_COLUMNS = ("num_prompt_tokens", "num_tokens", "max_model_len")


class StoredAnswers:
    """Key to winning answer. Made by ``StoredAnswersBuilder``."""

    def __init__(
        self, columns: dict[str, Any], *, segments: Sequence[str], texts: "mmap.mmap | None"
    ) -> None:
        self._columns = columns
        self._segments = segments
        self._texts = texts

    def __len__(self) -> int:
        return len(self._columns["high"])

    def get(self, key: str) -> Held | None:
        """The winning answer to ``key`` and its segment, if there is any."""
        place = self._find(key)
        if place is None:
            return None
        row = {name: column[place].item() for name, column in self._columns.items()}
        text = b""
        if self._texts is not None:
            text = self._texts[row["offset"] : row["offset"] + row["length"]]
        answer = StoredAnswer(
            key=key,
            text=text.decode("utf-8"),
            finish_reason=_FINISHES[row["finish"]],
            **{name: row[name] for name in _COLUMNS},
        )
        return Held(segment=self._segments[row["segment"]], answer=answer)

    def _find(self, key: str) -> int | None:
        """The row of ``key``: the first of its upper half is found by bisection."""
        import numpy as np

        if len(key) != KEY_CHARS:
            return None
        high, low = (np.uint64(int(key[start : start + 16], 16)) for start in (0, 16))
        place = int(np.searchsorted(self._columns["high"], high))
        while place < len(self) and self._columns["high"][place] == high:
            if self._columns["low"][place] == low:
                return place
            place += 1
        return None


class StoredAnswersBuilder:
    """Takes segments in, in the order of their names. Use as a context.

    Args:
        texts: The scratch file, made anew.
    """

    def __init__(self, texts: Path) -> None:
        texts.parent.mkdir(parents=True, exist_ok=True)
        self._path = texts
        self._file = texts.open("wb")
        self._size = 0
        self._parts: list[dict[str, Any]] = []
        self._segments: list[str] = []

    def __enter__(self) -> "StoredAnswersBuilder":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, segment: str, table: Any) -> None:
        """Takes in a segment as ``segments.read_segment`` reads it. Raises ``ValueError`` for keys
        that are none."""
        import numpy as np

        halves = _read_keys(table["key"])
        offsets, data = _read_strings(table["text"])
        part = {
            "high": halves[:, 0],
            "low": halves[:, 1],
            "segment": np.full(len(halves), len(self._segments), dtype=np.uint32),
            "offset": (offsets[:-1] + self._size).astype(np.uint64),
            "length": np.diff(offsets).astype(np.uint32),
            "finish": _read_finishes(table["finish_reason"]),
            **{name: table[name].to_numpy().astype(np.int32) for name in _COLUMNS},
        }
        self._file.write(data)
        self._size += len(data)
        self._parts.append(part)
        self._segments.append(segment)

    def build(self) -> StoredAnswers:
        """The index of all that came in, one answer a key."""
        import numpy as np

        self._file.flush()
        texts = None
        if self._size:
            with self._path.open("rb") as file:
                texts = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        names = ["high", "low", "segment", "offset", "length", "finish", *_COLUMNS]
        columns: dict[str, Any] = {}
        order: Any = None
        for name in names:
            # Column by column, so that not everything is there twice.
            parts = [part.pop(name) for part in self._parts]
            whole = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
            del parts
            if order is None:
                order = np.argsort(whole, kind="stable").astype(np.uint32)
            columns[name] = whole[order]
            del whole
        self._parts = []
        del order
        kept = _find_winners(columns)
        if kept is not None:
            for name in names:
                columns[name] = columns[name][kept]
        return StoredAnswers(columns, segments=self._segments, texts=texts)


def _find_winners(columns: dict[str, Any]) -> Any:
    """Which rows stay, as a mask; None where no key is there twice. Rows are sorted by ``high``.

    The order among rows of one key is ``reuse.winner``'s.
    """
    import numpy as np

    high, low = columns["high"], columns["low"]
    is_same = high[1:] == high[:-1]
    if not is_same.any():
        return None
    near = np.zeros(len(high), dtype=bool)
    near[1:] |= is_same
    near[:-1] |= is_same
    rows = np.flatnonzero(near)
    is_cut = columns["finish"][rows] != _FINISHES.index(FinishReason.STOP)
    tokens = columns["num_tokens"][rows]
    window = columns["max_model_len"][rows]
    is_window_cut = columns["finish"][rows] == _FINISHES.index(FinishReason.CONTEXT)
    order = np.lexsort(
        (
            window,
            tokens,
            columns["segment"][rows],
            np.where(is_window_cut, -window, 0),
            columns["finish"][rows] == _FINISHES.index(FinishReason.LENGTH),
            np.where(is_cut, -tokens, 0),
            is_cut,
            low[rows],
            high[rows],
        )
    )
    ranked = rows[order]
    is_beaten = (high[ranked[1:]] == high[ranked[:-1]]) & (low[ranked[1:]] == low[ranked[:-1]])
    kept = np.ones(len(high), dtype=bool)
    kept[ranked[1:][is_beaten]] = False
    return kept


def _read_keys(column: Any) -> Any:
    """``[rows, 2]`` of uint64: each key's first 16 bytes. Raises ``ValueError``."""
    import numpy as np

    offsets, data = _read_strings(column)
    if len(data) != KEY_CHARS * len(column) or (np.diff(offsets) != KEY_CHARS).any():
        raise ValueError("keys must be SHA-256 in hex")
    digests = np.frombuffer(bytes.fromhex(data.decode("ascii")), dtype=">u8")
    return digests.reshape(len(column), KEY_CHARS // 16)[:, :2].astype(np.uint64)


def _read_strings(column: Any) -> tuple[Any, bytes]:
    """Where each string begins and ends in the bytes of all, and these bytes."""
    import numpy as np

    strings = _one_array(column)
    if strings.null_count:
        raise ValueError("strings must not be missing")
    _, offsets_buffer, data_buffer = strings.buffers()
    if not len(strings):
        return np.zeros(1, dtype=np.int64), b""
    assert offsets_buffer is not None, "strings that are some have offsets"
    offsets = np.frombuffer(memoryview(offsets_buffer), dtype=np.int64)[
        strings.offset : strings.offset + len(strings) + 1
    ]
    first, last = int(offsets[0]), int(offsets[-1])
    data = b"" if data_buffer is None else data_buffer.to_pybytes()[first:last]
    return offsets - first, data


def _read_finishes(column: Any) -> Any:
    """Each answer's finish reason by its place in ``FinishReason``. Raises ``ValueError``."""
    import numpy as np

    encoded = _one_array(column).dictionary_encode()
    names = [_FINISHES.index(FinishReason(name)) for name in encoded.dictionary.to_pylist()]
    return np.array(names, dtype=np.uint8)[encoded.indices.to_numpy()]


def _one_array(column: Any) -> Any:
    """The strings of all chunks."""
    import pyarrow as pa

    chunks = column.cast(pa.large_string()).chunks
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_string())
