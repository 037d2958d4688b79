"""Puts a trained trial into storage: weights of the best step, the curve, the manifest last."""

from pathlib import Path
from typing import Any

from distillery.manifests import ManifestRef, StepManifest
from distillery.trials import CURVE_NAME, WEIGHTS_FOLDER
from ray_jobs.rendering import Renderer
from ray_jobs.step import commit_step, package_versions
from ray_jobs.storage.artefacts import upload_folder
from ray_jobs.storage.opening import open_storage
from ray_jobs.train.checkpoints import checkpoint_folder, copy_weights
from ray_jobs.train.recorder import write_curve
from ray_jobs.train.trial_tasks import Trained, TrialTask, WorkerPlan

PACKAGES = ("accelerate", "datasets", "peft", "ray", "torch", "transformers", "trl")
_OUTPUT_FOLDER = "output"


def commit_trial(
    plan: WorkerPlan, task: TrialTask, trained: Trained, *, model_folder: Path
) -> ManifestRef:
    """Uploads the trial and makes it finished. Raises as storage does."""
    context = plan.config.context
    storage = open_storage(
        context.storage.uri,
        endpoint_url=context.storage.endpoint_url or None,
        region=context.storage.region or None,
        credentials_ref=context.storage.credentials_ref,
    )
    output = task.folder / _OUTPUT_FOLDER
    weights = output / WEIGHTS_FOLDER
    copy_weights(checkpoint_folder(task.folder, step=trained.best_step), weights)
    pin = plan.config.inputs.student
    Renderer.from_folder(model_folder, date=pin.date or None).save_tokenizer(weights)
    write_curve(output / CURVE_NAME, trained.points)
    artefacts = upload_folder(storage, task.prefix, output)
    manifest = StepManifest(
        job=context.job,
        namespace=context.namespace,
        step=context.step,
        input_hash=task.hash,
        artefacts=artefacts,
        versions=package_versions(_packages(plan)),
        inputs={step: ref.sha256 for step, ref in context.upstream.items()},
        summary=_summary(plan, task, trained),
    )
    return commit_step(storage, prefix=task.prefix, manifest=manifest)


def _packages(plan: WorkerPlan) -> tuple[str, ...]:
    zero = plan.config.inputs.training.deepspeed_stage is not None
    return (*PACKAGES, "deepspeed") if zero else PACKAGES


def _summary(plan: WorkerPlan, task: TrialTask, trained: Trained) -> dict[str, Any]:
    last = trained.points[-1]
    return {
        "arm": task.arm.value,
        "seed": task.seed,
        "method": plan.config.inputs.method.type,
        "bestStep": trained.best_step,
        "validationLoss": trained.validation_loss,
        "numSteps": task.num_steps,
        "tokens": last.tokens,
        "seconds": last.seconds,
        "startUpSeconds": round(trained.startup_s, 2),
        "resumedFromStep": trained.resumed_from,
        "numWorkers": plan.config.settings.workers.replicas,
        "templateHash": plan.template_hash,
        "preflight": task.preflight.dump(),
    }
