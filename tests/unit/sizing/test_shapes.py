"""Shapes: parameter counts that are known, names that lead to them, configs that are read."""

from typing import Any

import pytest

from distillery.errors import SpecError
from distillery.sizing.precisions import KvFormat, WeightFormat
from distillery.sizing.shape_table import SHAPES, find_shape, format_of_name
from distillery.sizing.shapes import shape_of_config, weights_of_config


@pytest.mark.parametrize(
    ("name", "want_billions"),
    [
        ("llama-3.1-405b", 405.85),
        ("llama-3.3-70b", 70.55),
        ("llama-3.1-8b", 8.03),
        ("llama-3.2-3b", 3.21),
        ("llama-3.2-1b", 1.24),
        ("mistral-7b", 7.25),
        ("mistral-large", 122.6),
        ("qwen2.5-72b", 72.7),
        ("qwen2.5-7b", 7.62),
        ("qwen2.5-0.5b", 0.494),
        ("qwen3-32b", 32.8),
        ("qwen3-8b", 8.19),
        ("qwen3-0.6b", 0.596),
        ("smollm2-1.7b", 1.71),
        ("smollm2-135m", 0.1345),
        ("qwen3-235b-a22b", 235),
        ("qwen3-30b-a3b", 30.5),
        ("mixtral-8x7b", 46.7),
        ("mixtral-8x22b", 141),
    ],
)
def test_the_table_has_as_many_parameters_as_the_models(name: str, want_billions: float) -> None:
    assert SHAPES[name].num_weights / 1e9 == pytest.approx(want_billions, rel=0.005)


def test_active_parameters_of_experts_are_those_one_token_meets() -> None:
    shape = SHAPES["qwen3-235b-a22b"]
    assert (shape.active_linear_weights + 2 * shape.embedding_weights) / 1e9 == pytest.approx(
        22, rel=0.02
    )


def test_a_token_of_405b_takes_504_kib_of_cache() -> None:
    shape = SHAPES["llama-3.1-405b"]
    assert shape.kv_bytes_per_token(KvFormat.BF16) == 504 * 1024
    assert shape.kv_bytes_per_token(KvFormat.FP8) == 252 * 1024


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("hf://meta-llama/Llama-3.1-405B-Instruct-FP8", "llama-3.1-405b"),
        ("hf://meta-llama/Meta-Llama-3.1-405B", "llama-3.1-405b"),
        ("s3://models/llama-3.3-70b-instruct/", "llama-3.3-70b"),
        ("hf://Qwen/Qwen2.5-7B-Instruct-AWQ", "qwen2.5-7b"),
        ("hf://Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b"),
        ("hf://HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m"),
        ("hf://mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b"),
        ("hf://someone/Llama-3.1-8B-pruned-4B", "llama-3.1-8b"),
        ("hf://someone/my-model", None),
        ("hf://someone/xllama-3.1-8b", None),
        ("hf://someone/llama-3.1-80b", None),
    ],
)
def test_a_name_leads_to_its_shape(uri: str, want: str | None) -> None:
    found = find_shape(uri)
    assert (found.name if found else None) == want


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("hf://meta-llama/Llama-3.1-405B-Instruct", WeightFormat.BF16),
        ("hf://meta-llama/Llama-3.1-405B-Instruct-FP8", WeightFormat.FP8),
        ("hf://nvidia/Llama-3.1-405B-Instruct-FP4", WeightFormat.FP4),
        ("hf://nvidia/Llama-3.1-405B-Instruct-NVFP4", WeightFormat.FP4),
        ("hf://hugging-quants/Meta-Llama-3.1-405B-Instruct-AWQ-INT4", WeightFormat.INT4),
        ("hf://RedHatAI/Meta-Llama-3.1-405B-Instruct-quantized.w4a16", WeightFormat.INT4),
        ("hf://RedHatAI/Meta-Llama-3.1-405B-Instruct-quantized.w8a8", WeightFormat.INT8),
    ],
)
def test_a_name_says_how_weights_are_kept(uri: str, want: WeightFormat) -> None:
    assert format_of_name(uri) == want


def llama_config(**changes: Any) -> dict[str, Any]:
    config = {
        "num_hidden_layers": 126,
        "hidden_size": 16384,
        "intermediate_size": 53248,
        "num_attention_heads": 128,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "torch_dtype": "bfloat16",
        **changes,
    }
    return {key: value for key, value in config.items() if value is not None}


def test_a_config_is_read_as_the_table_has_it() -> None:
    shape = shape_of_config(llama_config(), name="llama-3.1-405b")
    assert shape == SHAPES["llama-3.1-405b"]


def test_a_config_with_a_text_part_and_experts_is_read() -> None:
    text = llama_config(
        num_hidden_layers=94,
        hidden_size=4096,
        intermediate_size=12288,
        moe_intermediate_size=1536,
        num_attention_heads=64,
        num_key_value_heads=4,
        head_dim=128,
        vocab_size=151936,
        num_experts=128,
        num_experts_per_tok=8,
    )
    shape = shape_of_config({"text_config": text}, name="qwen3-235b-a22b")
    assert shape == SHAPES["qwen3-235b-a22b"]


def test_a_config_without_a_dimension_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        shape_of_config(llama_config(intermediate_size=None), name="hf://someone/model")
    assert caught.value.message == (
        "hf://someone/model/config.json: sizing needs intermediate_size, got nothing; "
        "leave spec.runtime.gpus out"
    )
    assert caught.value.reason == "ShapeUnknown"


def test_latent_attention_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        shape_of_config(llama_config(kv_lora_rank=512), name="deepseek")
    assert caught.value.message == (
        "deepseek: sizing needs keys and values by head, got latent attention (kv_lora_rank); "
        "leave spec.runtime.gpus out"
    )


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, WeightFormat.BF16),
        ({"torch_dtype": "float32"}, WeightFormat.FP32),
        ({"quantization_config": {"quant_method": "fp8"}}, WeightFormat.FP8),
        ({"quantization_config": {"quant_method": "fbgemm_fp8"}}, WeightFormat.FP8),
        (
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "format": "float-quantized",
                }
            },
            WeightFormat.FP8,
        ),
        (
            {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
            WeightFormat.FP4,
        ),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, WeightFormat.INT4),
        ({"quantization_config": {"quant_method": "gptq", "bits": 8}}, WeightFormat.INT8),
        (
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "format": "pack-quantized",
                    "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
                }
            },
            WeightFormat.INT4,
        ),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            WeightFormat.INT4,
        ),
    ],
)
def test_a_config_says_how_weights_are_kept(changes: dict[str, Any], want: WeightFormat) -> None:
    assert weights_of_config(llama_config(**changes)) == want
