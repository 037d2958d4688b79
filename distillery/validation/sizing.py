"""Rules about what fits: teacher and students on ``spec.runtime.gpus``, weights on disks.

Models are known by name where nobody has read their ``config.json``; a name that says nothing isn't
judged. On CPUs nothing is sized.
"""

import math
from collections.abc import Iterator

from distillery.errors import Problem
from distillery.sizing.engine_memory import EngineFormats, EngineMemory, Layout, measure_engine
from distillery.sizing.estimates import engine_layout, training_plan
from distillery.sizing.gpus import GIB, GPUS, gib_text
from distillery.sizing.known import KnownModel, Knows, known_by_name
from distillery.sizing.layouts import candidate_layouts, find_layout_problem
from distillery.sizing.training import fits_training, measure_training
from distillery.spec.engine import VllmEngineSpec
from distillery.spec.gpus import GpusSpec
from distillery.spec.job import JobSpec
from distillery.spec.runtime import EphemeralCache
from distillery.spec.student import StudentSpec

DISK_SLACK = 1.1
"""Room for a model on a disk against its weights: tokenizer, index, a file being written."""


def find_sizing_problems(spec: JobSpec, knows: Knows = known_by_name) -> list[Problem]:
    """What can't fit."""
    problems = [*_cache_problems(spec, knows)]
    gpus = spec.runtime.gpus
    if gpus is None:
        return problems
    problems += _teacher_problems(spec, gpus, knows)
    for index, student in enumerate(spec.students):
        known = knows(student.model.uri)
        if known is not None:
            problems += _student_problems(f"spec.students[{index}]", student, known, gpus)
    return problems


def _teacher_problems(spec: JobSpec, gpus: GpusSpec, knows: Knows) -> Iterator[Problem]:
    engine, known = spec.teacher.engine, knows(spec.teacher.model.uri)
    if known is None or not isinstance(engine, VllmEngineSpec) or not engine.tensor_parallel:
        return
    path = "spec.teacher.engine.tensorParallel"
    layout = engine_layout(engine)
    fault = find_layout_problem(known.shape, layout, gpus_per_node=gpus.per_node)
    if fault:
        yield Problem(path=path, message=fault)
        return
    memory = _measure(known, layout, engine, gpus)
    if not memory.fits:
        yield Problem(
            path=path,
            message=f"{gib_text(memory.weight_bytes)} of {known.weights} weights don't fit "
            f"{layout.num_gpus} x {gpus.kind} ({gib_text(memory.available_bytes)} to use), "
            f"got {layout}; {_way_out(known, engine, gpus)}",
        )
        return
    needed = spec.teacher_max_tokens if engine.max_model_len is None else engine.max_model_len
    if memory.kv_tokens < needed:
        yield Problem(
            path="spec.teacher.engine.maxModelLen",
            message=f"one sequence of {needed} tokens must fit the KV cache of {layout}, got room "
            f"for {memory.kv_tokens}; lower it, or use more GPUs",
        )


def _measure(
    known: KnownModel, layout: Layout, engine: VllmEngineSpec, gpus: GpusSpec
) -> EngineMemory:
    return measure_engine(
        known.shape,
        EngineFormats(weights=known.weights),
        GPUS[gpus.kind],
        layout,
        used_share=engine.gpu_memory_utilization,
    )


def _way_out(known: KnownModel, engine: VllmEngineSpec, gpus: GpusSpec) -> str:
    """The smallest layout that holds these weights, if any does."""
    for layout in candidate_layouts(gpus.per_node):
        fault = find_layout_problem(known.shape, layout, gpus_per_node=gpus.per_node)
        if fault is None and _measure(known, layout, engine, gpus).fits:
            return f"use {layout}"
    return "use a smaller or quantised model"


def _student_problems(
    path: str, student: StudentSpec, known: KnownModel, gpus: GpusSpec
) -> Iterator[Problem]:
    if not student.workers.gpus:
        return
    gpu, plan = GPUS[gpus.kind], training_plan(student)
    memory = measure_training(known.shape, plan)
    if fits_training(memory, gpu):
        return
    ways = [
        way
        for is_open, way in (
            (plan.zero_stage < 3, "deepspeedStage 3"),
            (not plan.is_checkpointed, "gradientCheckpointing"),
            (not plan.adapter_rank, "method lora"),
            (plan.micro_batch_size > 1, "a smaller microBatchSize"),
        )
        if is_open
    ]
    yield Problem(
        path=f"{path}.workers",
        message=f"training needs {gib_text(memory.total)} a GPU, got {gpus.kind} with "
        f"{gpu.memory_gib:g} GiB; use {', '.join([*ways, 'or more workers'])}",
    )


def _cache_problems(spec: JobSpec, knows: Knows) -> Iterator[Problem]:
    """Weights that a volume can't hold. A file's own folder is read where it lies."""
    cache, scratch = spec.runtime.model_cache, spec.runtime.scratch_gib
    for place, uri in (
        ("spec.teacher.model.uri", spec.teacher.model.uri),
        *((f"spec.students[{i}].model.uri", s.model.uri) for i, s in enumerate(spec.students)),
    ):
        known = knows(uri)
        if known is None or not uri.startswith(("hf://", "s3://")):
            continue
        needed = math.ceil(DISK_SLACK * known.weight_bytes / GIB)
        message = f"must hold {place} with a tenth to spare, got {{}}; use {needed} or more"
        if isinstance(cache, EphemeralCache) and cache.size_gib < needed:
            yield Problem(
                path="spec.runtime.modelCache.sizeGib", message=message.format(cache.size_gib)
            )
        elif cache is None and spec.runtime.gpus is not None and scratch < needed:
            yield Problem(
                path="spec.runtime.scratchGib",
                message=message.format(scratch) + ", or a modelCache",
            )
