"""Starts the group of training workers with Ray Train and waits for it, in the driver.

One group serves all trials of a student. Retrying is the planner's: a failed group fails the
step's attempt, and the next one goes on from the last checkpoint.
"""

from pathlib import Path

from distillery.spec.student import WorkersSpec
from ray_jobs.progress import Reporter
from ray_jobs.train.board import Board, BoardReader
from ray_jobs.train.failures import choose_error
from ray_jobs.train.options import worker_environment
from ray_jobs.train.trial_tasks import WorkerPlan
from ray_jobs.train.worker import run_worker


def make_board() -> object:
    """The actor that workers tell their progress."""
    import ray

    return ray.remote(num_cpus=0)(Board).remote()


def run_group(
    plan: WorkerPlan, *, name: str, folder: Path, reporter: Reporter, total_steps: int
) -> None:
    """Trains the plan's trials; returns when all are committed.

    Raises:
        DistilleryError: What stopped a worker: its own error of the tree, ``ResourceError``
            (``TrainerOutOfMemory``) or ``ExternalError`` (``TrainerFailed``).
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    workers = plan.config.settings.workers
    trainer = TorchTrainer(
        run_worker,
        train_loop_config={"plan": plan},
        scaling_config=ScalingConfig(
            num_workers=workers.replicas,
            use_gpu=workers.gpus > 0,
            resources_per_worker=_resources(workers),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(folder),
            worker_runtime_env={
                "env_vars": worker_environment(workers, student_uri=plan.config.inputs.student.uri)
            },
        ),
    )
    with BoardReader(plan.board, reporter, total=total_steps):
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise choose_error(_causes(error)) from error


def _resources(workers: WorkersSpec) -> dict[str, float]:
    cpus = {"CPU": float(workers.cpus)}
    return {**cpus, "GPU": float(workers.gpus)} if workers.gpus else cpus


def _causes(error: BaseException) -> list[BaseException]:
    """The workers' own errors inside Ray's, the first rank's first; else Ray's."""
    failures: dict[int, BaseException] = getattr(error, "worker_failures", {})
    causes = [getattr(found, "_base_exc", found) for _, found in sorted(failures.items())]
    inner = getattr(error, "controller_failure", None)
    return causes or [inner or error]
