"""A decoder's dimensions and what follows from them: parameters and KV bytes.

``shape_table.py`` has the common models; ``shape_of_config`` reads a ``config.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery.errors import SpecError
from distillery.sizing.precisions import EMBEDDING_BYTES, KvFormat, WeightFormat

SHAPE_UNKNOWN = "ShapeUnknown"
"""The reason of errors about models that can't be sized."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A decoder-only transformer with gated feed-forward layers (Llama's form).

    ``ffn_size`` is one expert's where there are experts; ``num_experts`` is 0 in a dense model.
    """

    name: str
    num_layers: int
    hidden_size: int
    ffn_size: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    vocab_size: int
    is_tied: bool = False
    """Whether the output layer is the embedding."""
    num_experts: int = 0
    num_active_experts: int = 0

    @property
    def is_moe(self) -> bool:
        """Whether each token goes through some of many experts."""
        return self.num_experts > 0

    @property
    def linear_weights(self) -> int:
        """Weights of all linear layers, all experts included; embeddings and norms are not."""
        return self.num_layers * (self._attention_weights + self._ffn_weights(self.num_experts))

    @property
    def active_linear_weights(self) -> int:
        """Those that one token is multiplied with."""
        return self.num_layers * (
            self._attention_weights + self._ffn_weights(self.num_active_experts)
        )

    @property
    def embedding_weights(self) -> int:
        """Weights of one embedding matrix."""
        return self.vocab_size * self.hidden_size

    @property
    def num_weights(self) -> int:
        """All parameters."""
        norms = (2 * self.num_layers + 1) * self.hidden_size
        num_matrices = 1 if self.is_tied else 2
        return self.linear_weights + num_matrices * self.embedding_weights + norms

    def weight_bytes(self, weights: WeightFormat) -> float:
        """Bytes of all parameters, with linear layers in ``weights``."""
        kept = max(EMBEDDING_BYTES, weights.bytes_per_weight)
        return (
            self.linear_weights * weights.bytes_per_weight
            + (self.num_weights - self.linear_weights) * kept
        )

    def kv_bytes_per_token(self, kv: KvFormat) -> int:
        """Bytes of one token's keys and values in all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * kv.bytes_per_value

    @property
    def _attention_weights(self) -> int:
        """Of one layer: queries and output, keys and values."""
        num_projected = 2 * self.num_heads + 2 * self.num_kv_heads
        return self.hidden_size * self.head_size * num_projected

    def _ffn_weights(self, num_experts: int) -> int:
        """Of one layer: gate, up and down of each expert, and the router."""
        router = self.hidden_size * self.num_experts
        return 3 * self.hidden_size * self.ffn_size * max(1, num_experts) + router


def shape_of_config(config: Mapping[str, Any], *, name: str) -> ModelShape:
    """The shape that a ``config.json`` names.

    Raises:
        SpecError: ``ShapeUnknown`` where a dimension is missing, or the attention is of a kind
            whose cache this arithmetic doesn't describe (latent attention).
    """
    text = config.get("text_config") or config
    if text.get("kv_lora_rank"):
        raise SpecError(
            f"{name}: sizing needs keys and values by head, got latent attention (kv_lora_rank); "
            "leave spec.runtime.gpus out",
            reason=SHAPE_UNKNOWN,
        )
    num_heads = _read(text, name, "num_attention_heads")
    hidden = _read(text, name, "hidden_size")
    num_experts = int(text.get("num_local_experts") or text.get("num_experts") or 0)
    ffn_keys = ("moe_intermediate_size",) if num_experts else ()
    return ModelShape(
        name=name,
        num_layers=_read(text, name, "num_hidden_layers"),
        hidden_size=hidden,
        ffn_size=_read(text, name, *ffn_keys, "intermediate_size"),
        num_heads=num_heads,
        num_kv_heads=int(text.get("num_key_value_heads") or num_heads),
        head_size=int(text.get("head_dim") or hidden // num_heads),
        vocab_size=_read(text, name, "vocab_size"),
        is_tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
        num_experts=num_experts,
        num_active_experts=_read(text, name, "num_experts_per_tok") if num_experts else 0,
    )


def _read(config: Mapping[str, Any], name: str, *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            return value
    raise SpecError(
        f"{name}/config.json: sizing needs {' or '.join(keys)}, got nothing; "
        "leave spec.runtime.gpus out",
        reason=SHAPE_UNKNOWN,
    )


def weights_of_config(config: Mapping[str, Any]) -> WeightFormat:
    """How a ``config.json`` says its linear layers are kept."""
    text = config.get("text_config") or config
    found = config.get("quantization_config") or text.get("quantization_config") or {}
    method = str(found.get("quant_method", "")).lower()
    algorithm = f"{method} {found.get('quant_algo', '')} {found.get('format', '')}".lower()
    if "fp4" in algorithm:
        return WeightFormat.FP4
    if "fp8" in algorithm or "float-quantized" in algorithm:
        return WeightFormat.FP8
    num_bits = _num_bits(found)
    if num_bits == 4:
        return WeightFormat.INT4
    if num_bits == 8:
        return WeightFormat.INT8
    dtype = str(config.get("dtype") or config.get("torch_dtype") or text.get("dtype") or "")
    return WeightFormat.FP32 if "float32" in dtype else WeightFormat.BF16


def _num_bits(quantization: Mapping[str, Any]) -> int | None:
    """Of AWQ, GPTQ and bitsandbytes, or of compressed-tensors' first group."""
    if quantization.get("load_in_4bit"):
        return 4
    direct = quantization.get("bits", quantization.get("w_bit"))
    if isinstance(direct, int):
        return direct
    for group in (quantization.get("config_groups") or {}).values():
        bits = (group.get("weights") or {}).get("num_bits")
        if isinstance(bits, int):
            return bits
    return None
