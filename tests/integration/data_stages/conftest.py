"""A tiny model folder, and a runner of the data stages as processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from distillery.progress import Outcome, parse_record
from distillery.stage_configs import StageConfig
from tests.models import make_tiny_tokenizer
from tests.processes import REPOSITORY
from tests.rows import write_config


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a stage's process ended: its exit code, its outcome, and all it printed."""

    code: int
    outcome: Outcome
    log: str


RunStage = Callable[..., Ran]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of a model that prepare reads: config, tokenizer with template, a few weights."""
    folder = make_tiny_tokenizer(tmp_path_factory.mktemp("model"))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"weight": np.ones(4, dtype=np.float32)}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def model_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all tests: what prepare found out about a model takes seconds to find again."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def run_stage(tmp_path: Path, model_cache_folder: Path) -> RunStage:
    """Runs ``python -m ray_jobs.<stage>`` on a config, as a launcher does."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "models").symlink_to(model_cache_folder)

    def run(config: StageConfig, environment: Mapping[str, str] | None = None) -> Ran:
        path = write_config(tmp_path / f"{config.stage}.json", config)
        ended = subprocess.run(
            [sys.executable, "-m", f"ray_jobs.{config.stage}", "--config", str(path)],
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        outcome = parse_record(ended.stdout.splitlines()[-1])
        assert isinstance(outcome, Outcome)
        return Ran(code=ended.returncode, outcome=outcome, log=ended.stdout + ended.stderr)

    return run
