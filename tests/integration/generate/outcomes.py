"""What a run of stage generate left behind."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from distillery.manifests import ManifestRef
from distillery.stage_configs import GenerateConfig
from ray_jobs.generate.options import GenerateOptions
from ray_jobs.generate.outputs import answers_path
from ray_jobs.generate.stage import run
from ray_jobs.records import AnswerRow, Split
from ray_jobs.step import StepResult, find_manifest, read_manifest
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import read_rows
from tests.integration.generate.prepared import Prepared
from tests.processes import REPOSITORY

FAST = GenerateOptions(flush_s=0.2, ledger_s=0.1)


def run_here(
    prepared: Prepared, config: GenerateConfig, options: GenerateOptions = FAST
) -> StepResult:
    """Runs the stage in this process, as the frame would, without committing."""
    return run(config, prepared.tools(config), options)


def start_alone(prepared: Prepared, config: GenerateConfig) -> "subprocess.Popen[str]":
    """Starts ``python -m ray_jobs.generate`` as anyone would."""
    path = prepared.root / "config.json"
    path.write_text(config.model_dump_json(by_alias=True, exclude_none=True))
    log = (prepared.root / "log.txt").open("a")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "ray_jobs.generate", "--config", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
            cwd=REPOSITORY,
        )


def read_answers(prepared: Prepared, config: GenerateConfig) -> list[AnswerRow]:
    """All rows of all answer files."""
    storage = prepared.root / "storage" / config.context.prefix
    return [
        row
        for split in Split
        for variant in config.inputs.variants
        for row in read_rows(storage / answers_path(split, variant.value), AnswerRow)
    ]


def read_summary(config: GenerateConfig) -> dict[str, Any]:
    """The committed manifest's summary."""
    storage = open_storage(config.context.storage.uri)
    ref: ManifestRef | None = find_manifest(storage, config.context.prefix)
    assert ref is not None
    return read_manifest(storage, ref).summary


def assert_whole(prepared: Prepared, config: GenerateConfig) -> list[AnswerRow]:
    """No id is missing or doubled; returns the rows."""
    rows = read_answers(prepared, config)
    counts = Counter((row.row_id, row.variant, row.sample, row.turn) for row in rows)
    assert set(counts.values()) == {1}
    assert {row.row_id for row in rows} == {row.row_id for row in prepared.rows}
    return rows


def count_segments(prepared: Prepared) -> int:
    """How many segments the store has so far."""
    return len(list((prepared.root / "storage" / "teacher").rglob("segments/*.parquet")))


def ledger_folder(prepared: Prepared, config: GenerateConfig) -> Path:
    """Where the step's engines keep their token ledgers."""
    return prepared.root / "scratch" / "generate" / config.context.input_hash / "ledger"
