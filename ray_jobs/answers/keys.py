"""What makes two requests the same question: row keys, and the teacher's fingerprint.

A key covers all that decides an answer except how long it may get (``reuse.py`` judges that) and
what is only recorded: engine and version, KV cache format, hardware, seed.
"""

import hashlib
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from distillery.manifests import canonical_json, sha256_hex
from ray_jobs.engines.base import Constraint, Sampling

KEY_VERSION = 1
"""Raised when the same request would get another key than before."""

_SEED_BITS = 31
"""Seeds are non-negative 32-bit integers in every engine."""


@dataclass(frozen=True, kw_only=True)
class TeacherIdentity:
    """Whose answers: ``weights_digest`` names the weights (and adapters), ``quantisation`` the
    number format they are held in (as the job asks for it; ``auto``: the model's own)."""

    weights_digest: str
    quantisation: str

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that name this teacher's place in the store."""
        return sha256_hex(canonical_json([self.weights_digest, self.quantisation]))[:32]


class KeyMaker:
    """Makes the row keys of one teacher asked with one sampling.

    Args:
        sampling: ``max_tokens`` and ``seed`` are not part of the key.
    """

    def __init__(self, teacher: TeacherIdentity, sampling: Sampling) -> None:
        self._common = {
            "version": KEY_VERSION,
            "weights": teacher.weights_digest,
            "quantisation": teacher.quantisation,
            "temperature": float(sampling.temperature),
            "topP": float(sampling.top_p),
            "topK": sampling.top_k,
            "stop": list(sampling.stop),
        }
        self._heads: dict[bytes, bytes] = {}

    def key(
        self, prompt_ids: Sequence[int], *, sample: int, constraint: Constraint | None = None
    ) -> str:
        """The row key: SHA-256 (hex) over the head's digest, the sample's number and the ids.

        Args:
            prompt_ids: Exactly as sent to the engine.
            sample: Counts from 0 where a prompt is asked several times.
        """
        ids = array("I", prompt_ids)
        if sys.byteorder == "big":
            ids.byteswap()
        head = self._head(constraint)
        return hashlib.sha256(head + sample.to_bytes(8, "little") + ids.tobytes()).hexdigest()

    def _head(self, constraint: Constraint | None) -> bytes:
        form = canonical_json(
            None
            if constraint is None
            else {"jsonSchema": constraint.json_schema, "choices": list(constraint.choices)}
        )
        if form not in self._heads:
            document = canonical_json(self._common) + b"\n" + form
            self._heads[form] = hashlib.sha256(document).digest()
        return self._heads[form]


def row_seed(key: str, *, seed: int) -> int:
    """The seed of one draw: another for every key, the same whenever it is drawn again."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> (32 - _SEED_BITS)
