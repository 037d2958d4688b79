"""What the planner needs besides the data: pinned models, and the steps that are finished."""

from collections.abc import Mapping
from pathlib import Path

from distillery.manifests import ManifestRef
from distillery.spec.job import API_VERSION, KIND, DistillationJob, JobSpec, Metadata
from distillery.stage_configs import PinnedModel, StepContext
from distillery.step_configs import TEACHER_PIN, Known, Place, build_config, student_pin
from distillery.steps import PREPARE, steps_of, upstream_of
from ray_jobs.models import InspectedModel, inspect_model
from ray_jobs.step import find_manifest
from ray_jobs.storage.base import Storage


def inspect_models(spec: JobSpec, *, cache: Path) -> dict[str, InspectedModel]:
    """Teacher and students as they are now, by their pins' names. Raises as ``inspect_model``."""
    models = {TEACHER_PIN: inspect_model(spec.teacher.model, spec.storage, cache)}
    for student in spec.students:
        models[student_pin(student.name)] = inspect_model(student.model, spec.storage, cache)
    return models


def find_finished(
    context: StepContext,
    spec: JobSpec,
    *,
    storage: Storage,
    dataset: ManifestRef,
    pins: Mapping[str, PinnedModel],
) -> dict[str, ManifestRef]:
    """The manifests of all steps that exist for exactly this job, data and models.

    A step is looked for only where all it reads is finished: its inputs' hash isn't known before.
    """
    job = DistillationJob(
        api_version=API_VERSION,
        kind=KIND,
        metadata=Metadata(name=context.job, namespace=context.namespace),
        spec=spec,
    )
    place = Place(scratch_dir=context.scratch_dir, output_dir=context.output_dir)
    manifests = {PREPARE.id: dataset}
    for step in steps_of(spec)[1:]:
        if any(needed.id not in manifests for needed in upstream_of(step, spec)):
            continue
        known = Known(pins=pins, manifests=manifests)
        config = build_config(step, job, known, place=place, attempt=context.attempt)
        ref = find_manifest(storage, config.context.prefix)
        if ref is not None:
            manifests[step.id] = ref
    return {step: ref for step, ref in manifests.items() if step != PREPARE.id}
