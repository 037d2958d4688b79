"""How numbers are kept and multiplied: bytes a weight, and which arithmetic a GPU does with it."""

from enum import StrEnum


class Arithmetic(StrEnum):
    """In what the tensor cores multiply."""

    BF16 = "bf16"
    """And FP16, at the same rate."""
    FP8 = "fp8"
    FP4 = "fp4"


class WeightFormat(StrEnum):
    """How a model's linear layers are kept. Embeddings and output layer stay at 2 bytes."""

    FP32 = "FP32"
    BF16 = "BF16"
    FP8 = "FP8"
    INT8 = "INT8"
    INT4 = "INT4"
    FP4 = "FP4"

    @property
    def bytes_per_weight(self) -> float:
        """Bytes of one weight, its share of scales included.

        INT4: groups of 128 with a scale of 16 bits and a zero point of 4 (AWQ, GPTQ). FP4: blocks
        of 16 with a scale of 8 bits (NVFP4).
        """
        return _BYTES[self]

    @property
    def arithmetic(self) -> Arithmetic:
        """What it is multiplied in where the GPU can; weight-only formats are unpacked first."""
        match self:
            case WeightFormat.FP8:
                return Arithmetic.FP8
            case WeightFormat.FP4:
                return Arithmetic.FP4
            case _:
                return Arithmetic.BF16


_BYTES = {
    WeightFormat.FP32: 4.0,
    WeightFormat.BF16: 2.0,
    WeightFormat.FP8: 1.0,
    WeightFormat.INT8: 1.0,
    WeightFormat.INT4: (4 + (16 + 4) / 128) / 8,
    WeightFormat.FP4: (4 + 8 / 16) / 8,
}

EMBEDDING_BYTES = 2.0
"""Bytes of a weight of the embeddings and the output layer, which nobody quantises."""


class KvFormat(StrEnum):
    """How the KV cache is kept."""

    BF16 = "BF16"
    FP8 = "FP8"

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one key's or value's element."""
        return 1 if self == KvFormat.FP8 else 2
