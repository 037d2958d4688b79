"""The weights of a tiny student."""

from pathlib import Path

import pytest

from tests.integration.evaluate.students import Weights
from tests.models import make_tiny_adapter, make_tiny_llama


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    root = tmp_path_factory.mktemp("weights")
    base = make_tiny_llama(root / "base")
    return Weights(
        base=base,
        whole=make_tiny_llama(root / "whole", seed=5),
        adapter=make_tiny_adapter(root / "adapter", base=base, seed=1),
        other_adapter=make_tiny_adapter(root / "other", base=base, seed=2, rank=4),
    )


@pytest.fixture(scope="session")
def merged(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base with the first adapter added in by PEFT itself."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("merged")
    base = AutoModelForCausalLM.from_pretrained(weights.base)
    PeftModel.from_pretrained(base, weights.adapter).merge_and_unload().save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.base).save_pretrained(folder)
    return folder
