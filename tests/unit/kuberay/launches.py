"""Builders of launches: a job, its steps, and what is known so far."""

import copy
from typing import Any

from controller.kube.api import Json
from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.places import SCRATCH_DIR
from controller.launchers.kuberay.rayjob import build_ray_job
from distillery.manifests import ManifestRef
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PinnedModel
from distillery.step_configs import Known, Place, build_config
from distillery.steps import Step, steps_of
from tests.builders import make_job

UID = "0b5f4a52-7a53-4c43-9f6e-6d7f0f6f1a11"
IMAGE = "example.com/distillery-ray:1"
INSTALLATION = Installation(image=IMAGE)
S3_URI = "s3://models/distillery"
GPU_CHANGES: dict[str, Any] = {
    "teacher__engine": {"type": "vllm", "replicas": 4, "tensorParallel": 8},
    "students__0__workers": {"replicas": 2, "gpus": 1, "cpus": 6},
    "evaluation__engine": {"type": "vllm", "tensorParallel": 2},
}


def make_cluster_job(**changes: Any) -> DistillationJob:
    """A job that can run in pods; ``changes`` as in ``make_job``."""
    return make_job(**copy.deepcopy({"storage": {"uri": S3_URI}} | changes))


def with_metadata(job: DistillationJob, **metadata: Any) -> DistillationJob:
    """The job with other ``metadata``."""
    return job.model_copy(update={"metadata": job.metadata.model_copy(update=metadata)})


def make_launch(job: DistillationJob, step: Step, *, number: int = 1, run: int = 1) -> Launch:
    """An attempt of ``step``, as if everything before it was finished."""
    keys = ["teacher", *(f"students/{student.name}" for student in job.spec.students)]
    pins = {
        key: PinnedModel(uri=f"s3://{key}", digest="d" * 64, template_hash="t" * 64) for key in keys
    }
    manifests = {
        each.id: ManifestRef(prefix=f"p/{each.id}", sha256="a" * 64) for each in steps_of(job.spec)
    }
    config = build_config(
        step,
        job,
        Known(pins=pins, manifests=manifests),
        place=Place(scratch_dir=SCRATCH_DIR),
        attempt=number,
    )
    return Launch(job=job, uid=UID, step=step, number=number, run=run, config=config, image=IMAGE)


def ray_job_of(
    step: Step, *, installation: Installation = INSTALLATION, number: int = 1, **changes: Any
) -> Json:
    """The RayJob of an attempt of ``step`` of a job with ``changes``."""
    launch = make_launch(make_cluster_job(**changes), step, number=number)
    return build_ray_job(launch, installation)


def head_of(ray_job: Json) -> Json:
    """The head's pod template."""
    template: Json = ray_job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    return template


def groups_of(ray_job: Json) -> list[Json]:
    """The worker groups."""
    groups: list[Json] = ray_job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    return groups


def templates_of(ray_job: Json) -> list[Json]:
    """All pod templates: head, workers, submitter."""
    workers = [group["template"] for group in groups_of(ray_job)]
    return [head_of(ray_job), *workers, ray_job["spec"]["submitterPodTemplate"]]


def variables_of(container: Json) -> dict[str, str]:
    """The plain variables of a container."""
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def mounts_of(container: Json) -> dict[str, str]:
    """Mount path to volume name."""
    return {each["mountPath"]: each["name"] for each in container["volumeMounts"]}


def volumes_of(template: Json) -> dict[str, Json]:
    """Volume name to its source."""
    return {
        each["name"]: {key: value for key, value in each.items() if key != "name"}
        for each in template["spec"]["volumes"]
    }
