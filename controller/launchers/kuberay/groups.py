"""Which pods a step has and how big they are, from its engine or its training workers. Pure.

Steps without GPUs are a head alone. The head of a GPU step carries the driver and no work: Ray
starts a driver on the head whatever CPUs it offers, so it offers none.
"""

import math
from dataclasses import dataclass

from controller.launchers.kuberay.installation import Installation, PodSize
from distillery.errors import InvariantError
from distillery.spec.engine import EngineSpec
from distillery.spec.job import JobSpec
from distillery.spec.student import WorkersSpec
from distillery.steps import Stage, Step

MAX_WORKER_GROUPS = 17
"""Kueue admits 18 pod sets: these and the head."""


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """``replicas`` times ``hosts`` equal pods. ``hosts`` above 1: one replica spans several."""

    name: str
    replicas: int
    gpus: int
    size: PodSize
    hosts: int = 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A step's pods. ``head_cpus`` is what the head offers to Ray's tasks and actors."""

    head: PodSize
    head_cpus: int
    groups: tuple[WorkerGroup, ...] = ()


def layout_of(step: Step, spec: JobSpec, installation: Installation) -> Layout:
    """The pods of ``step``."""
    match step.stage:
        case Stage.GENERATE:
            engine = spec.teacher.engine
            layout = _engine_layout(engine, installation, replicas=engine.replicas)
        case Stage.TRAIN:
            layout = _training_layout(spec.student(step.student).workers, installation)
        case Stage.EVALUATE | Stage.PUBLISH:
            # One engine answers for one model after the other, merged weights at the end.
            layout = _engine_layout(spec.evaluation.engine, installation, replicas=1)
        case _:
            layout = _head_alone(installation.cpu_step)
    if len(layout.groups) > MAX_WORKER_GROUPS:
        raise InvariantError(f"{step.id}: {len(layout.groups)} worker groups, Kueue takes fewer")
    return layout


def _engine_layout(engine: EngineSpec, installation: Installation, *, replicas: int) -> Layout:
    size = installation.cpu_step
    if engine.type != "vllm":
        return _head_alone(size)
    if not engine.tensor_parallel:
        cache_gib = math.ceil(engine.kv_cache_gib * replicas)
        return _head_alone(PodSize(cpus=size.cpus, memory_gib=size.memory_gib + cache_gib))
    group = WorkerGroup(
        name="engines",
        replicas=replicas,
        gpus=engine.tensor_parallel,
        size=_gpu_size(installation, engine.tensor_parallel),
        hosts=engine.pipeline_parallel,
    )
    return Layout(head=installation.head, head_cpus=0, groups=(group,))


def _training_layout(workers: WorkersSpec, installation: Installation) -> Layout:
    if not workers.gpus:
        size = installation.cpu_step
        cpus = max(size.cpus, workers.replicas * workers.cpus)
        return _head_alone(PodSize(cpus=cpus, memory_gib=size.memory_gib))
    share = _gpu_size(installation, workers.gpus)
    group = WorkerGroup(
        name="trainers",
        replicas=workers.replicas,
        gpus=workers.gpus,
        size=PodSize(cpus=max(share.cpus, workers.cpus), memory_gib=share.memory_gib),
    )
    return Layout(head=installation.head, head_cpus=0, groups=(group,))


def _gpu_size(installation: Installation, gpus: int) -> PodSize:
    share = installation.worker_per_gpu
    return PodSize(cpus=share.cpus * gpus, memory_gib=share.memory_gib * gpus)


def _head_alone(size: PodSize) -> Layout:
    return Layout(head=size, head_cpus=size.cpus)
