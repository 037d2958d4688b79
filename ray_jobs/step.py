"""The frame every stage runs in: config in, work skipped if it is finished, manifest last.

A stage hands over ``run(config, tools) -> StepResult`` and lets errors rise; this module alone
turns them into an outcome. It knows no stage. A step whose manifest exists exits at once.
"""

import argparse
import importlib.metadata
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from distillery.errors import (
    DistilleryError,
    ExternalError,
    InvariantError,
    SpecError,
    TransientError,
    word,
)
from distillery.manifests import (
    Artefact,
    ManifestRef,
    StepManifest,
    manifest_key,
    sha256_hex,
)
from distillery.progress import MAX_SUMMARY_BYTES, Outcome, OutcomeState
from distillery.stage_configs import CONFIG_VARIABLE, StageConfig, StepContext, parse_stage_config
from ray_jobs.progress import Reporter
from ray_jobs.progress_map import open_progress_map
from ray_jobs.storage.artefacts import commit_manifest
from ray_jobs.storage.base import Storage
from ray_jobs.storage.credentials import are_surroundings_used
from ray_jobs.storage.faults import os_faults
from ray_jobs.storage.opening import open_storage

_LOG = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1


@dataclass(frozen=True, kw_only=True)
class StepTools:
    """What a stage gets besides its config. ``scratch`` is a folder of this step's own that
    outlives the attempt on this machine."""

    storage: Storage
    reporter: Reporter
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a stage made: files already in storage below its prefix, and its figures.

    ``packages`` are the libraries whose versions the manifest records. ``verdict``, where given,
    goes to the planner with the outcome and is no part of the manifest. ``committed`` is given by
    prepare alone, which commits its own manifest: the verdict names it.
    """

    artefacts: Sequence[Artefact] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    packages: Sequence[str] = ()
    verdict: dict[str, Any] = field(default_factory=dict)
    committed: ManifestRef | None = None


class _Config(Protocol):
    @property
    def context(self) -> StepContext: ...


C = TypeVar("C", bound=_Config)


def main(
    config_type: type[C],
    run: Callable[[C, StepTools], StepResult],
    argv: Sequence[str] | None = None,
) -> int:
    """Runs one attempt of a step as a process. Returns its exit code."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    reporter = Reporter()
    try:
        reporter = Reporter(sink=open_progress_map(os.environ))
        config = _read_config(config_type, argv)
        outcome = _run(config, run, reporter)
    except DistilleryError as error:
        outcome = _failed(error)
    except Exception as error:  # noqa: BLE001 - the process's edge: the cause goes to the log
        _LOG.exception("step failed unexpectedly")
        outcome = Outcome(
            state=OutcomeState.FAILED,
            reason="UnexpectedError",
            message=f"{type(error).__name__}; the traceback is in this step's log",
            retriable=True,
        )
    reporter.finish(outcome)
    return EXIT_OK if outcome.state == OutcomeState.SUCCEEDED else EXIT_FAILED


def _read_config(config_type: type[C], argv: Sequence[str] | None) -> C:
    parser = argparse.ArgumentParser(description=config_type.__doc__)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the step's config as JSON; default: the environment variable {CONFIG_VARIABLE}",
    )
    path = parser.parse_args(argv).config
    document = _read_text(path) if path else os.environ.get(CONFIG_VARIABLE, "")
    try:
        config: StageConfig = parse_stage_config(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(
            f"step config: {'.'.join(str(part) for part in first['loc'])} is wrong; "
            "pass the document the controller built, with --config or the environment",
            reason="ConfigUnreadable",
        ) from error
    if not isinstance(config, config_type):
        raise SpecError(
            f"step config: is for another stage, got {config.stage}; "
            f"run python -m ray_jobs.{config.stage}",
            reason="ConfigUnreadable",
        )
    return config


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            word(path, f"no readable config file, got {type(error).__name__}; check --config"),
            reason="ConfigUnreadable",
        ) from error


def _run(config: C, run: Callable[[C, StepTools], StepResult], reporter: Reporter) -> Outcome:
    context = config.context
    storage = open_storage(
        context.storage.uri,
        endpoint_url=context.storage.endpoint_url or None,
        region=context.storage.region or None,
        credentials_ref=context.storage.credentials_ref,
    )
    if are_surroundings_used(context.storage, os.environ):
        _LOG.info(
            "no credentials are mounted here, the surroundings' are used credentials_ref=%s",
            context.storage.credentials_ref,
        )
    if context.prefix and (ref := find_manifest(storage, context.prefix)):
        _LOG.info("step is finished already prefix=%s", context.prefix)
        return Outcome(state=OutcomeState.SUCCEEDED, reason="AlreadyFinished", manifest=ref)
    scratch = Path(context.scratch_dir) / context.step / (context.input_hash or "current")
    with os_faults(str(scratch)):
        scratch.mkdir(parents=True, exist_ok=True)
    result = run(config, StepTools(storage=storage, reporter=reporter, scratch=scratch))
    num_bytes = len(json.dumps(result.verdict))
    if num_bytes > MAX_SUMMARY_BYTES:
        raise InvariantError(
            f"{context.step}: its outcome's summary must be within {MAX_SUMMARY_BYTES} bytes, "
            f"got {num_bytes}"
        )
    ref = result.committed or commit_step(
        storage,
        prefix=context.prefix,
        manifest=StepManifest(
            job=context.job,
            namespace=context.namespace,
            step=context.step,
            input_hash=context.input_hash,
            artefacts=tuple(result.artefacts),
            versions=package_versions(result.packages),
            inputs={step: upstream.sha256 for step, upstream in context.upstream.items()},
            summary=result.summary,
        ),
    )
    return Outcome(state=OutcomeState.SUCCEEDED, manifest=ref, summary=result.verdict)


def commit_step(storage: Storage, *, prefix: str, manifest: StepManifest) -> ManifestRef:
    """Makes the step, or trial, finished. Where another attempt was first, its manifest counts."""
    data = manifest.to_bytes()
    if commit_manifest(storage, manifest_key(prefix), data):
        return ManifestRef(prefix=prefix, sha256=sha256_hex(data))
    winner = find_manifest(storage, prefix)
    if winner is None:
        raise TransientError(
            f"{storage.uri_of(manifest_key(prefix))}: appeared and went away; try again",
            reason="StorageFailed",
        )
    return winner


def find_manifest(storage: Storage, prefix: str) -> ManifestRef | None:
    """The reference of the manifest below ``prefix``; None while there is none."""
    try:
        data = storage.get_bytes(manifest_key(prefix))
    except ExternalError as error:
        if error.reason == "ObjectMissing":
            return None
        raise
    return ManifestRef(prefix=prefix, sha256=sha256_hex(data))


def read_manifest(storage: Storage, ref: ManifestRef) -> StepManifest:
    """The manifest ``ref`` names. Raises ``ExternalError`` where it has changed since."""
    data = storage.get_bytes(manifest_key(ref.prefix))
    if sha256_hex(data) != ref.sha256:
        raise ExternalError(
            f"{storage.uri_of(manifest_key(ref.prefix))}: is not the manifest this step was sent; "
            "run the job again",
            reason="ManifestChanged",
        )
    return StepManifest.model_validate_json(data)


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """The installed version of each package, found without importing it."""
    return {package: importlib.metadata.version(package) for package in packages}


def _failed(error: DistilleryError) -> Outcome:
    _LOG.error("step failed reason=%s message=%s", error.reason, error.message)
    return Outcome(
        state=OutcomeState.FAILED,
        reason=error.reason,
        message=error.message,
        retriable=isinstance(error, TransientError | ExternalError),
    )
