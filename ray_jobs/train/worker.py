"""What a training worker does: one trial after the other, each committed as soon as it is done.

Runs in every process of the worker group; the first one also writes. Heavy libraries load here
once for all trials. The order of trials and what they learn from come from the driver.
"""

import gc
import shutil
import time
from pathlib import Path
from typing import Any

from distillery.trials import CurvePoint
from ray_jobs.train.board import Posting
from ray_jobs.train.checkpoints import Checkpoint, find_latest, remove_incomplete
from ray_jobs.train.examples import ArmExamples
from ray_jobs.train.failures import leaving_worker
from ray_jobs.train.schedule import build_order, count_tokens_by_step
from ray_jobs.train.trial_tasks import Trained, TrialTask, WorkerPlan

POST_INTERVAL_S = 0.5


def run_worker(config: dict[str, Any]) -> None:
    """Ray Train's ``train_loop_per_worker``."""
    with leaving_worker():
        _run(config["plan"])


def _run(plan: WorkerPlan) -> None:
    import ray
    import torch

    from ray_jobs.models import fetch_model, model_cache
    from ray_jobs.train.publishing import commit_trial

    torch.set_num_threads(plan.config.settings.workers.cpus)
    context = plan.config.context
    folder = fetch_model(plan.config.inputs.student, context.storage, model_cache(context))
    started_at = plan.started_at
    for task in plan.tasks:
        examples = ray.get(plan.examples[task.arm])
        trained = _train(plan, task, model_folder=folder, examples=examples, since=started_at)
        if ray.train.get_context().get_world_rank() == 0:
            commit_trial(plan, task, trained, model_folder=folder)
            shutil.rmtree(task.folder)
        ray.train.report(
            {
                "trial": task.label,
                "bestStep": trained.best_step,
                "validationLoss": trained.validation_loss,
            }
        )
        started_at = time.time()


def _train(
    plan: WorkerPlan,
    task: TrialTask,
    *,
    model_folder: Path,
    examples: ArmExamples,
    since: float,
) -> Trained:
    from ray.train.huggingface.transformers import prepare_trainer

    from ray_jobs.train.recorder import Recorder

    training = plan.config.inputs.training
    order = build_order(
        len(examples.train),
        num_steps=task.num_steps,
        batch_size=training.batch_size,
        seed=task.seed,
    )
    recorder = Recorder(
        tokens_by_step=count_tokens_by_step(
            order, lengths=examples.train.lengths, batch_size=training.batch_size
        ),
        on_step=_poster(plan.board, task),
    )
    checkpoint = _find_checkpoint(plan, task)
    trainer = prepare_trainer(
        _build_trainer(plan, task, model_folder=model_folder, examples=examples, order=order)
    )
    trainer.add_callback(recorder)
    if checkpoint is not None:
        recorder.load(checkpoint.folder)
    startup_s = time.time() - since
    trainer.train(resume_from_checkpoint=str(checkpoint.folder) if checkpoint else None)
    trained = Trained(
        best_step=trainer.state.best_global_step or task.num_steps,
        validation_loss=trainer.state.best_metric,
        points=recorder.points,
        startup_s=startup_s,
        resumed_from=checkpoint.step if checkpoint else 0,
    )
    _free(trainer)
    return trained


def _build_trainer(
    plan: WorkerPlan, task: TrialTask, *, model_folder: Path, examples: ArmExamples, order: Any
) -> Any:
    from peft import LoraConfig
    from transformers import AutoTokenizer

    from distillery.spec.student import LoraMethod
    from ray_jobs.train import trainer_trl
    from ray_jobs.train.options import TrialOptions, lora_options, sft_options, uses_autocast

    inputs = plan.config.inputs
    validates = len(examples.validation) > 0
    config = trainer_trl.build_config(
        sft_options(
            inputs,
            TrialOptions(
                num_steps=task.num_steps,
                seed=task.seed,
                folder=task.folder,
                validates=validates,
            ),
            workers=plan.config.settings.workers,
            batches=plan.batches,
        )
    )
    tokenizer = AutoTokenizer.from_pretrained(str(model_folder), local_files_only=True)
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    lora = inputs.method if isinstance(inputs.method, LoraMethod) else None
    return trainer_trl.StudentTrainer(
        validation=examples.validation,
        pad_id=pad_id,
        autocast=uses_autocast(inputs.training),
        model=trainer_trl.load_student(model_folder),
        args=config,
        peft_config=LoraConfig(**lora_options(lora)) if lora else None,
        processing_class=tokenizer,
        data_collator=trainer_trl.Collator(examples.train, pad_id=pad_id),
        train_dataset=trainer_trl.dataset_of(order),
        eval_dataset=trainer_trl.dataset_of(range(len(examples.validation))) if validates else None,
    )


def _find_checkpoint(plan: WorkerPlan, task: TrialTask) -> Checkpoint | None:
    """Where to go on. ZeRO keeps a shard a worker, so it can't go on with another number."""
    import ray.train
    import torch.distributed as dist

    if ray.train.get_context().get_world_rank() == 0:
        task.folder.mkdir(parents=True, exist_ok=True)
        remove_incomplete(task.folder)
    if dist.get_world_size() > 1:
        dist.barrier()
    found = find_latest(task.folder)
    sharded = plan.config.inputs.training.deepspeed_stage is not None
    if found and sharded and found.num_workers != plan.config.settings.workers.replicas:
        return None
    return found


def _poster(board: Any, task: TrialTask) -> Any:
    last = 0.0

    def post(point: CurvePoint) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= POST_INTERVAL_S or point.step == task.num_steps:
            last = now
            board.post.remote(
                Posting(label=task.label, done=task.steps_before + point.step, tokens=point.tokens)
            )

    return post


def _free(trainer: Any) -> None:
    """Lets go of the trial's model before the next is loaded."""
    trainer.accelerator.free_memory()
    trainer.model = trainer.model_wrapped = trainer.optimizer = trainer.lr_scheduler = None
    gc.collect()
