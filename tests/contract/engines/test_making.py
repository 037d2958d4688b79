"""Engines that can't be made, or die, and how each says so."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from distillery.errors import ResourceError, SpecError
from ray_jobs.engines.base import EngineSettings
from ray_jobs.engines.making import make_engine
from tests.contract.engines.conftest import TRANSFORMERS, VLLM, Asker, Folders
from tests.engine_child import answer_elsewhere

pytestmark = pytest.mark.heavy


def lose_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def name_unknown_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "oracle", "architectures": ["OracleForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))


def lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("spoil", [lose_config, cut_weights, name_unknown_model])
def test_a_spoilt_model_folder_is_unreadable(
    own_settings: EngineSettings,
    folders: Folders,
    tmp_path: Path,
    spoil: Callable[[Path], None],
) -> None:
    folder = Path(shutil.copytree(folders.model, tmp_path / "model"))
    spoil(folder)
    with pytest.raises(SpecError, match=r"readable model|can't load this model") as e:
        answer_elsewhere(own_settings, folder)
    assert e.value.reason == "ModelUnreadable"
    assert len(e.value.message) <= 256


def test_a_missing_model_folder_is_unreadable(own_settings: EngineSettings, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="a readable model is needed, got no such folder; check"):
        make_engine(own_settings, tmp_path / "nowhere")


def test_a_window_beyond_the_model_s_is_refused(
    own_settings: EngineSettings, folders: Folders
) -> None:
    with pytest.raises(SpecError, match=r"maxModelLen: must be at most the model's own 256, got 1"):
        make_engine(replace(own_settings, max_model_len=1000), folders.model)


def test_a_cache_larger_than_the_memory_is_out_of_memory(folders: Folders) -> None:
    with pytest.raises(
        ResourceError, match=r"kvCacheGib: must be below the machine's memory .*, got 1e\+06; lower"
    ) as e:
        make_engine(replace(VLLM, kv_cache_gib=1_000_000.0), folders.model)
    assert e.value.reason == "EngineOutOfMemory"


def test_a_cache_too_small_for_one_sequence_is_out_of_memory(
    folders: Folders, engine_process: None
) -> None:
    with pytest.raises(ResourceError, match=r"kvCacheGib: the cache can't hold one .*; raise") as e:
        answer_elsewhere(replace(VLLM, kv_cache_gib=0.0001), folders.model)
    assert e.value.reason == "EngineOutOfMemory"


def test_transformers_refuses_structured_outputs(folders: Folders) -> None:
    with pytest.raises(SpecError, match=r"structuredOutputs: transformers .* got true; use the vl"):
        make_engine(replace(TRANSFORMERS, structured=True), folders.model)


def test_vllm_refuses_a_rank_it_has_no_room_for(folders: Folders, engine_process: None) -> None:
    with pytest.raises(SpecError, match=r"maxLoraRank: vLLM takes ranks up to 512, got 600; lower"):
        make_engine(replace(VLLM, max_lora_rank=600), folders.model)


def test_extra_stop_tokens_end_an_answer(
    own_settings: EngineSettings, folders: Folders, transformers: Asker
) -> None:
    (whole,) = transformers.answer(transformers.request())
    third = transformers.renderer._tokenizer(whole.text, add_special_tokens=False)["input_ids"][2]
    (cut,) = answer_elsewhere(
        own_settings, folders.model, [transformers.request()], stop_token_ids=[third]
    )
    assert cut.finish_reason == "stop"
    assert cut.num_tokens == 3
    assert whole.text.startswith(cut.text)


def test_transformers_refuses_weights_with_gaps(folders: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders.model, tmp_path / "model"))
    lose_a_tensor(folder)
    with pytest.raises(SpecError, match=r"must hold every tensor of the model, got 1 missing") as e:
        make_engine(replace(TRANSFORMERS, max_adapters=0), folder)
    assert e.value.reason == "ModelUnreadable"
