"""Stage generate with the double for an engine, as a process of its own: ``--config FILE``.

It joins the Ray of ``RAY_ADDRESS``, as a step's driver does, and leaves the step's outcome as JSON.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from distillery.errors import DistilleryError
from distillery.stage_configs import GenerateConfig
from ray_jobs.engines.base import Engine, EngineSettings
from ray_jobs.generate.options import GenerateOptions
from ray_jobs.generate.stage import run
from ray_jobs.progress import Reporter
from ray_jobs.rendering import Renderer
from ray_jobs.step import StepTools
from ray_jobs.storage.opening import open_storage
from tests.doubles.engine import make_hash_engine
from tests.fragile_engine import FragileEngine


def make_mortal_engine(
    settings: EngineSettings,
    model_folder: str | Path,
    *,
    stop_token_ids: Sequence[int] = (),
    step_s: float,
    places: str,
) -> Engine:
    """The double, which dies at the prompts ``FragileEngine`` dies at."""
    engine = make_hash_engine(
        settings, model_folder, stop_token_ids=stop_token_ids, step_s=step_s, places=places
    )
    return FragileEngine(engine, Renderer.from_folder(model_folder))


def main() -> None:
    """Runs the stage and writes its summary, or its error, to ``--outcome``."""
    parser = argparse.ArgumentParser()
    for name in ("--config", "--places", "--outcome"):
        parser.add_argument(name, required=True)
    parser.add_argument("--step-s", type=float, required=True)
    parser.add_argument("--lease-s", type=float, default=300.0)
    parsed = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    config = GenerateConfig.model_validate_json(Path(parsed.config).read_text("utf-8"))
    scratch = Path(config.context.scratch_dir) / config.context.step / config.context.input_hash
    scratch.mkdir(parents=True, exist_ok=True)
    tools = StepTools(
        storage=open_storage(config.context.storage.uri), reporter=Reporter(), scratch=scratch
    )
    options = GenerateOptions(
        flush_s=0.2,
        ledger_s=0.1,
        lease_s=parsed.lease_s,
        engine_factory=partial(make_mortal_engine, step_s=parsed.step_s, places=parsed.places),
    )
    try:
        outcome = {"summary": run(config, tools, options).summary}
    except DistilleryError as error:
        outcome = {"error": {"reason": error.reason, "message": error.message}}
    Path(parsed.outcome).write_text(json.dumps(outcome, default=str), "utf-8")


if __name__ == "__main__":
    main()
