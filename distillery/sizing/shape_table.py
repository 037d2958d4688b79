"""Shapes of common models, for when no ``config.json`` can be read, and how names lead to them.

A test holds each against the number of parameters its makers give.
"""

import re
from collections.abc import Mapping

from distillery.sizing.precisions import WeightFormat
from distillery.sizing.shapes import ModelShape


def _shape(
    name: str,
    *dimensions: int,
    head_size: int = 128,
    is_tied: bool = False,
    experts: tuple[int, int] = (0, 0),
) -> ModelShape:
    """``experts``: how many there are, and how many a token meets."""
    layers, hidden, ffn, heads, kv_heads, vocabulary = dimensions
    return ModelShape(
        name=name,
        num_layers=layers,
        hidden_size=hidden,
        ffn_size=ffn,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_size=head_size,
        vocab_size=vocabulary,
        is_tied=is_tied,
        num_experts=experts[0],
        num_active_experts=experts[1],
    )


# Layers, hidden, FFN, heads, KV heads, vocabulary.
_SHAPES = (
    _shape("llama-3.1-405b", 126, 16384, 53248, 128, 8, 128256),
    _shape("llama-3.3-70b", 80, 8192, 28672, 64, 8, 128256),
    _shape("llama-3.1-70b", 80, 8192, 28672, 64, 8, 128256),
    _shape("llama-3-70b", 80, 8192, 28672, 64, 8, 128256),
    _shape("llama-3.1-8b", 32, 4096, 14336, 32, 8, 128256),
    _shape("llama-3-8b", 32, 4096, 14336, 32, 8, 128256),
    _shape("llama-3.2-3b", 28, 3072, 8192, 24, 8, 128256, is_tied=True),
    _shape("llama-3.2-1b", 16, 2048, 8192, 32, 8, 128256, head_size=64, is_tied=True),
    _shape("mistral-large", 88, 12288, 28672, 96, 8, 32768),
    _shape("mistral-7b", 32, 4096, 14336, 32, 8, 32768),
    _shape("qwen2.5-72b", 80, 8192, 29568, 64, 8, 152064),
    _shape("qwen2.5-32b", 64, 5120, 27648, 40, 8, 152064),
    _shape("qwen2.5-14b", 48, 5120, 13824, 40, 8, 152064),
    _shape("qwen2.5-7b", 28, 3584, 18944, 28, 4, 152064),
    _shape("qwen2.5-3b", 36, 2048, 11008, 16, 2, 151936, is_tied=True),
    _shape("qwen2.5-1.5b", 28, 1536, 8960, 12, 2, 151936, is_tied=True),
    _shape("qwen2.5-0.5b", 24, 896, 4864, 14, 2, 151936, head_size=64, is_tied=True),
    _shape("qwen3-32b", 64, 5120, 25600, 64, 8, 151936),
    _shape("qwen3-14b", 40, 5120, 17408, 40, 8, 151936),
    _shape("qwen3-8b", 36, 4096, 12288, 32, 8, 151936),
    _shape("qwen3-4b", 36, 2560, 9728, 32, 8, 151936, is_tied=True),
    _shape("qwen3-1.7b", 28, 2048, 6144, 16, 8, 151936, is_tied=True),
    _shape("qwen3-0.6b", 28, 1024, 3072, 16, 8, 151936, is_tied=True),
    _shape("smollm2-1.7b", 24, 2048, 8192, 32, 32, 49152, head_size=64, is_tied=True),
    _shape("smollm2-360m", 32, 960, 2560, 15, 5, 49152, head_size=64, is_tied=True),
    _shape("smollm2-135m", 30, 576, 1536, 9, 3, 49152, head_size=64, is_tied=True),
    _shape("qwen3-235b-a22b", 94, 4096, 1536, 64, 4, 151936, experts=(128, 8)),
    _shape("qwen3-30b-a3b", 48, 2048, 768, 32, 4, 151936, experts=(128, 8)),
    _shape("mixtral-8x22b", 56, 6144, 16384, 48, 8, 32768, experts=(8, 2)),
    _shape("mixtral-8x7b", 32, 4096, 14336, 32, 8, 32000, experts=(8, 2)),
)

SHAPES: Mapping[str, ModelShape] = {shape.name: shape for shape in _SHAPES}
"""By the model's name without its owner, form of training and number format."""

_FORMATS = (
    (re.compile(r"fp4\b"), WeightFormat.FP4),
    (re.compile(r"fp8\b"), WeightFormat.FP8),
    (re.compile(r"int8\b|w8a8|w8a16"), WeightFormat.INT8),
    (re.compile(r"int4\b|awq|gptq|w4a16|bnb-4bit|4bit"), WeightFormat.INT4),
)


def find_shape(uri: str) -> ModelShape | None:
    """The table's shape for a model's address, by its last part; None where it has none.

    ``hf://meta-llama/Llama-3.1-405B-Instruct-FP8`` and ``s3://models/Meta-Llama-3.1-405B`` are
    both ``llama-3.1-405b``: a name counts where it stands whole between dashes.
    """
    name = _last_part(uri)
    found = [shape for key, shape in SHAPES.items() if _stands_in(key, name)]
    return max(found, key=lambda shape: len(shape.name), default=None)


def format_of_name(uri: str) -> WeightFormat:
    """How a model's weights are kept, by its name; BF16 where that doesn't say."""
    name = _last_part(uri)
    return next((kept for pattern, kept in _FORMATS if pattern.search(name)), WeightFormat.BF16)


def _last_part(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2].lower()


def _stands_in(key: str, name: str) -> bool:
    return re.search(rf"(^|[-_]){re.escape(key)}($|[-_])", name) is not None
