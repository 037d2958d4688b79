"""The published weights: a full model as it was trained, or an adapter and the merged model.

Merging goes file by file of the base and tensor by tensor within it, so that no more than one
weights file is in memory. The naive form, for each adapted layer: ``W + (alpha / rank) B A``.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from distillery.errors import InvariantError
from distillery.manifests import Artefact
from distillery.stage_configs import PublishConfig
from ray_jobs.answering.weights import ADAPTER_CONFIG
from ray_jobs.models import fetch_model, model_cache
from ray_jobs.step import StepTools
from ray_jobs.storage.artefacts import upload_folder

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_ADAPTER_PREFIX = "base_model.model."
_A, _B = ".lora_A.", ".lora_B."
_NOT_PLAIN = ("use_dora", "use_rslora", "fan_in_fan_out", "rank_pattern", "alpha_pattern")
_COPIED = {".json", ".jinja", ".txt", ".model"}
"""What belongs to a model besides its weights; a base's card or older weights don't."""


def merge_trial(student: str, weights: Path, config: PublishConfig, tools: StepTools) -> Path:
    """A local folder with the whole model: the base with the adapter added in."""
    pin = config.inputs.students[student]
    base = fetch_model(pin, config.context.storage, model_cache(config.context))
    merged = tools.scratch / "merged" / student
    merge_adapter(base, weights, merged)
    return merged


def publish_folder(tools: StepTools, prefix: str, path: str, folder: Path) -> tuple[Artefact, ...]:
    """Uploads ``folder`` to ``prefix/path``. Returns artefacts named from ``prefix``."""
    stored = upload_folder(tools.storage, f"{prefix}/{path}", folder)
    return tuple(
        artefact.model_copy(update={"path": f"{path}/{artefact.path}"}) for artefact in stored
    )


def merge_adapter(base: Path, adapter: Path, out: Path) -> None:
    """Writes the merged model to ``out``, its weights files named as the base's.

    Raises:
        InvariantError: An adapted layer the base has not, or a kind of adapter train never makes.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    settings = json.loads((adapter / ADAPTER_CONFIG).read_text("utf-8"))
    if unknown := [name for name in _NOT_PLAIN if settings.get(name)]:
        raise InvariantError(f"adapter: only plain LoRA can be merged, got {unknown[0]}")
    scale = settings["lora_alpha"] / settings["r"]
    pairs = _adapter_pairs(load_file(adapter / ADAPTER_WEIGHTS))
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(base.iterdir()):
        if path.suffix in _COPIED and path.is_file():
            shutil.copyfile(path, out / path.name)
    for path in sorted(base.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors = {
                name: _merge(file.get_tensor(name), pairs.pop(name, None), scale=scale)
                for name in file.keys()  # noqa: SIM118 - safe_open is no mapping
            }
            save_file(tensors, out / path.name, metadata={"format": "pt"})
    if pairs:
        raise InvariantError(f"adapter: layers the base has not, first {min(pairs)}")
    for path in adapter.iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "special_tokens")):
            shutil.copyfile(path, out / path.name)


def _adapter_pairs(tensors: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Base weight name to (A ``[rank, in]``, B ``[out, rank]``)."""
    pairs = {}
    for name in [name for name in tensors if _A in name]:
        layer = name.removeprefix(_ADAPTER_PREFIX).partition(_A)[0]
        pairs[f"{layer}.weight"] = (tensors.pop(name), tensors.pop(name.replace(_A, _B)))
    if tensors:
        raise InvariantError(f"adapter: tensors that are no LoRA pair, first {min(tensors)}")
    return pairs


def _merge(weight: Any, pair: tuple[Any, Any] | None, *, scale: float) -> Any:
    if pair is None:
        return weight
    a, b = pair
    return (weight.float() + scale * (b.float() @ a.float())).to(weight.dtype)
