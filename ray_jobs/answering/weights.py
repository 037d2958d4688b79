"""A trial's weights as a local folder: an adapter, or the whole model.

Loading them is the engines' work, merging ``ray_jobs.publish.weights``.
"""

import json
from pathlib import Path

from distillery.trials import WEIGHTS_FOLDER, TrialRef
from ray_jobs.step import StepTools, read_manifest
from ray_jobs.storage.artefacts import download_folder

ADAPTER_CONFIG = "adapter_config.json"


def adapter_rank(trial: TrialRef, tools: StepTools) -> int:
    """The rank of the trial's adapter; 0 where it is a whole model. Downloads no weights."""
    path = f"{WEIGHTS_FOLDER}/{ADAPTER_CONFIG}"
    manifest = read_manifest(tools.storage, trial.manifest)
    if all(artefact.path != path for artefact in manifest.artefacts):
        return 0
    return int(json.loads(tools.storage.get_bytes(f"{trial.prefix}/{path}"))["r"])


def fetch_trial(trial: TrialRef, tools: StepTools) -> Path:
    """A local folder with the trial's weights, each file checked by its SHA-256."""
    manifest = read_manifest(tools.storage, trial.manifest)
    folder = tools.scratch / "trials" / trial.sha256[:12]
    inside = f"{WEIGHTS_FOLDER}/"
    wanted = tuple(each for each in manifest.artefacts if each.path.startswith(inside))
    download_folder(tools.storage, trial.prefix, folder, wanted)
    return folder / WEIGHTS_FOLDER


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter, not a whole model."""
    return (folder / ADAPTER_CONFIG).is_file()
