"""The order of a train step's work: find finished trials, preflight, train the rest, sum up."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.manifests import ManifestRef, StepManifest
from distillery.progress import Phase
from distillery.stage_configs import TargetSet, TrainConfig
from distillery.steps import CURATE
from distillery.tasks import Arm
from distillery.trials import TrialRef, trial_hash
from ray_jobs.cluster import connect
from ray_jobs.models import fetch_model, model_cache
from ray_jobs.records import Split, TargetRow
from ray_jobs.rendering import Renderer
from ray_jobs.step import StepResult, StepTools, find_manifest, read_manifest
from ray_jobs.tables import find_artefact, load_rows
from ray_jobs.train.examples import ArmExamples, join_examples, render_rows
from ray_jobs.train.preflight import Preflight, check_examples, check_template, select_short
from ray_jobs.train.schedule import count_steps, split_batch
from ray_jobs.train.trial_tasks import TrialTask, WorkerPlan

_SPLITS = (Split.TRAIN, Split.VALIDATION)


@dataclass(frozen=True, kw_only=True)
class _Trial:
    arm: Arm
    seed: int
    hash: str
    prefix: str


def run(config: TrainConfig, tools: StepTools) -> StepResult:
    """Trains whatever trials of the student aren't finished. See ``distillery.trials``."""
    started = time.monotonic()
    split_batch(config.inputs.training, num_workers=config.settings.workers.replicas)
    curate = config.context.upstream[CURATE.id]
    manifest = read_manifest(tools.storage, curate)
    trials = _list_trials(config, manifest)
    waiting = [trial for trial in trials if find_manifest(tools.storage, trial.prefix) is None]
    tools.reporter.begin("preflight", total=len(trials), unit="trials", phase=Phase.STARTING)
    if waiting:
        _train(config, tools, manifest=manifest, waiting=waiting)
    refs = [_read_trial(tools, trial) for trial in trials]
    return StepResult(
        artefacts=(),
        summary={
            "trials": [ref.dump() for ref in refs],
            "method": config.inputs.method.type,
            "numSkipped": len(trials) - len(waiting),
            "seconds": round(time.monotonic() - started, 2),
        },
    )


def _list_trials(config: TrainConfig, curate: StepManifest) -> list[_Trial]:
    """All trials, arm by arm in the job's order."""
    context, inputs = config.context, config.inputs
    trials = []
    for arm in inputs.arms:
        targets = {
            split.value: find_artefact(curate.artefacts, _path(config, arm, split)).sha256
            for split in _SPLITS
        }
        for seed in inputs.seeds:
            digest = trial_hash(inputs, arm=arm, seed=seed, targets=targets)
            prefix = f"jobs/{context.namespace}/{context.job}/{context.step}/trials/{digest}"
            trials.append(_Trial(arm=arm, seed=seed, hash=digest, prefix=prefix))
    return trials


def _train(
    config: TrainConfig,
    tools: StepTools,
    *,
    manifest: StepManifest,
    waiting: Sequence[_Trial],
) -> None:
    import ray

    from ray_jobs.train.group import make_board, run_group

    inputs, context = config.inputs, config.context
    folder = fetch_model(inputs.student, context.storage, model_cache(context))
    renderer = Renderer.from_folder(folder, date=inputs.student.date or None)
    check_template(inputs.student, renderer.template_hash)
    arms = list(dict.fromkeys(trial.arm for trial in waiting))
    limit = min(inputs.training.max_length, _context_length(folder))
    ready = {
        arm: _prepare_arm(config, tools, manifest, arm=arm, renderer=renderer, limit=limit)
        for arm in arms
    }
    tasks = _build_tasks(config, waiting, ready)
    tools.reporter.phase(Phase.LOADING_WEIGHTS)
    connect()
    plan = WorkerPlan(
        config=config,
        tasks=tuple(tasks),
        batches=split_batch(inputs.training, num_workers=config.settings.workers.replicas),
        examples={arm: ray.put(examples) for arm, (_, examples) in ready.items()},
        board=make_board(),
        template_hash=renderer.template_hash,
        started_at=time.time(),
    )
    run_group(
        plan,
        name=f"{context.step}-{context.input_hash}-{context.attempt}",
        folder=tools.scratch / "ray",
        reporter=tools.reporter,
        total_steps=tasks[-1].steps_before + tasks[-1].num_steps,
    )


def _prepare_arm(
    config: TrainConfig,
    tools: StepTools,
    manifest: StepManifest,
    *,
    arm: Arm,
    renderer: Renderer,
    limit: int,
) -> tuple[Preflight, ArmExamples]:
    prefix = config.context.upstream[CURATE.id].prefix
    train, validation = (
        render_rows(
            load_rows(
                tools.storage,
                prefix,
                manifest,
                _path(config, arm, split),
                TargetRow,
                scratch=tools.scratch,
            ),
            renderer,
        )
        for split in _SPLITS
    )
    found = check_examples(
        arm,
        train,
        limit=limit,
        max_truncated_share=config.inputs.training.max_truncated_share,
        end_of_turn_id=renderer.end_of_turn_id,
    )
    return found, ArmExamples(
        train=join_examples(select_short(train, limit=limit)),
        validation=join_examples(select_short(validation, limit=limit)),
    )


def _build_tasks(
    config: TrainConfig,
    waiting: Sequence[_Trial],
    ready: dict[Arm, tuple[Preflight, ArmExamples]],
) -> list[TrialTask]:
    """The waiting trials. Steps of finished ones are not counted: this attempt doesn't run them."""
    tasks: list[TrialTask] = []
    before = 0
    for trial in waiting:
        found, examples = ready[trial.arm]
        steps = count_steps(config.inputs.training, num_rows=len(examples.train))
        tasks.append(
            TrialTask(
                arm=trial.arm,
                seed=trial.seed,
                hash=trial.hash,
                prefix=trial.prefix,
                folder=trial_folder(config, trial.hash),
                num_steps=steps,
                preflight=found,
                steps_before=before,
            )
        )
        before += steps
    return tasks


def trial_folder(config: TrainConfig, digest: str) -> Path:
    """Where a trial keeps its checkpoints: found again by any later attempt, whatever its step."""
    context = config.context
    return Path(context.scratch_dir).resolve() / context.step / "trials" / digest


def _context_length(folder: Path) -> int:
    """The longest sequence the model knows positions for."""
    from ray_jobs.engines.model_folder import check_model_folder

    known: Any = check_model_folder(folder).get("max_position_embeddings")
    return int(known) if known else 2**31


def _read_trial(tools: StepTools, trial: _Trial) -> TrialRef:
    ref: ManifestRef | None = find_manifest(tools.storage, trial.prefix)
    assert ref is not None, "the worker group returned, so every trial is committed"
    summary = read_manifest(tools.storage, ref).summary
    return TrialRef(
        arm=trial.arm,
        seed=trial.seed,
        prefix=ref.prefix,
        sha256=ref.sha256,
        best_step=summary["bestStep"],
        validation_loss=summary.get("validationLoss"),
        num_steps=summary["numSteps"],
        seconds=summary["seconds"],
        tokens=summary["tokens"],
    )


def _path(config: TrainConfig, arm: Arm, split: Split) -> str:
    name = TargetSet(arm=arm, kind=config.inputs.target).name
    return f"targets/{name}/{split}.parquet"
