"""Every kind of RayJob that is built: all steps, on CPUs and GPUs, bare and full, and the samples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from controller.kube.api import Json
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.rayjob import build_ray_job
from distillery.local_uris import resolve_uris
from distillery.spec.job import DistillationJob
from distillery.steps import steps_of
from tests.unit.kuberay.launches import GPU_CHANGES, INSTALLATION, make_cluster_job, make_launch

SAMPLES = sorted((Path(__file__).parents[3] / "manifests" / "samples").glob("*.yaml"))
_FULL: dict[str, Any] = {
    "credentials": [
        {"name": "bucket", "kind": "S3", "secretRef": {"name": "s3"}},
        {"name": "hub", "kind": "HuggingFace", "secretRef": {"name": "hf"}},
    ],
    "storage__credentialsRef": "bucket",
    "students__0__model__credentialsRef": "hub",
    "runtime__queueName": "gpus",
    "runtime__modelCache": {"type": "ephemeral", "sizeGib": 500, "storageClassName": "fast"},
    "runtime__head": {"spec": {"nodeSelector": {"pool": "cpu"}}},
    "runtime__workers": {"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "gpu": GPU_CHANGES,
    "full": _FULL,
    "full-gpu": _FULL | GPU_CHANGES,
}


def ray_jobs_of(job: DistillationJob) -> list[Json]:
    """A RayJob for each step."""
    return [build_ray_job(launch, INSTALLATION) for launch in _launches(job)]


def _launches(job: DistillationJob) -> Iterator[Launch]:
    for step in steps_of(job.spec):
        yield make_launch(job, step)


def variant_job(name: str) -> DistillationJob:
    """The job of a variant."""
    return make_cluster_job(**VARIANTS[name])


def sample_job(path: Path) -> DistillationJob:
    """A sample as it would be in a cluster: plain paths below a folder of the image, storage in a
    bucket."""
    job = DistillationJob.model_validate(yaml.safe_load(path.read_text("utf-8")))
    job = resolve_uris(job, base="/srv")
    if job.spec.storage.uri.startswith("s3://"):
        return job
    storage = job.spec.storage.model_copy(update={"uri": "s3://models/distillery"})
    return job.model_copy(update={"spec": job.spec.model_copy(update={"storage": storage})})
