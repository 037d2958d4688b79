"""Merging an adapter into its base: against PEFT's own, for a base in one file and in several."""

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.errors import InvariantError
from ray_jobs.publish.weights import merge_adapter
from tests.models import make_tiny_adapter, make_tiny_llama

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    return make_tiny_adapter(tmp_path / "adapter", base=base)


def load_model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def edit_config(adapter: Path, **changes: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("max_shard_size", ["1GB", "200KB"], ids=["one_file", "several_files"])
def test_the_merged_model_is_pefts(
    tmp_path: Path, base: Path, adapter: Path, max_shard_size: str
) -> None:
    import torch
    from peft import PeftModel

    source = tmp_path / "source"
    load_model(base).save_pretrained(source, max_shard_size=max_shard_size)
    (source / "README.md").write_text("the base's own card")
    (source / "pytorch_model.bin").write_bytes(b"older weights")

    merge_adapter(source, adapter, tmp_path / "merged")

    names = {path.name for path in source.iterdir()} - {"README.md", "pytorch_model.bin"}
    assert {path.name for path in (tmp_path / "merged").iterdir()} >= names
    assert not (tmp_path / "merged" / "README.md").exists()
    assert not (tmp_path / "merged" / "pytorch_model.bin").exists()
    num_files = len(list((tmp_path / "merged").glob("*.safetensors")))
    assert (num_files > 1) == (max_shard_size == "200KB")
    got = load_model(tmp_path / "merged").state_dict()
    want = PeftModel.from_pretrained(load_model(base), adapter).merge_and_unload().state_dict()
    plain = load_model(base).state_dict()
    assert got.keys() == want.keys()
    assert max(float((got[name] - want[name]).abs().max()) for name in want) < 1e-6
    changed = {name for name in got if not torch.equal(got[name], plain[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj", "up_proj"}
    assert len(changed) == 6


def test_weights_keep_their_number_format(tmp_path: Path, base: Path, adapter: Path) -> None:
    import torch

    half = tmp_path / "half"
    load_model(base).to(torch.bfloat16).save_pretrained(half)
    merge_adapter(half, adapter, tmp_path / "merged")
    merged = load_model(tmp_path / "merged").state_dict()
    assert {tensor.dtype for tensor in merged.values()} == {torch.bfloat16}


def test_an_adapter_of_another_model_is_refused(tmp_path: Path, adapter: Path) -> None:
    other = make_tiny_llama(tmp_path / "other", num_layers=1)
    with pytest.raises(InvariantError, match=r"layers the base has not, first model\.layers\.1\."):
        merge_adapter(other, adapter, tmp_path / "merged")


def test_an_adapter_with_more_than_pairs_is_refused(
    tmp_path: Path, base: Path, adapter: Path
) -> None:
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors["base_model.model.lm_head.weight"] = next(iter(tensors.values())).clone()
    save_file(tensors, path)
    with pytest.raises(InvariantError, match=r"no LoRA pair, first base_model\.model\.lm_head"):
        merge_adapter(base, adapter, tmp_path / "merged")


@pytest.mark.parametrize(
    "change", [{"use_dora": True}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 4}}]
)
def test_only_plain_lora_is_merged(
    tmp_path: Path, base: Path, adapter: Path, change: dict[str, Any]
) -> None:
    edit_config(adapter, **change)
    with pytest.raises(
        InvariantError, match=f"only plain LoRA can be merged, got {next(iter(change))}"
    ):
        merge_adapter(base, adapter, tmp_path / "merged")
