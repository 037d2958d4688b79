"""Every sample job is valid, and each of its steps can be made a RayJob."""

from pathlib import Path

import pytest

from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.problems import find_runtime_problems
from controller.launchers.kuberay.rayjob import build_ray_job
from distillery.loading import load_job
from distillery.step_configs import Known, Place, build_config
from distillery.steps import steps_of
from tests.attempts import make_ref, make_verdict
from tests.processes import REPOSITORY

SAMPLES = sorted((REPOSITORY / "manifests" / "samples").glob("*.yaml"))
IN_CLUSTER = [path for path in SAMPLES if path.stem not in ("quickstart", "existing-ray")]
INSTALLATION = Installation(image="example.com/ray:1")


@pytest.mark.parametrize("path", IN_CLUSTER, ids=lambda path: path.stem)
def test_every_step_of_a_cluster_sample_becomes_a_ray_job(path: Path) -> None:
    job = load_job(path.read_text("utf-8"))
    assert find_runtime_problems(job, INSTALLATION) == []
    known = Known(
        pins=make_verdict(job).pins,
        manifests={step.id: make_ref(step.id) for step in steps_of(job.spec)},
    )
    for step in steps_of(job.spec):
        config = build_config(step, job, known, place=Place(scratch_dir="/scratch"), attempt=1)
        launch = Launch(
            job=job, uid="u", step=step, number=1, run=1, config=config, image="example.com/ray:1"
        )
        body = build_ray_job(launch, INSTALLATION)
        assert body["spec"]["entrypoint"] == f"exec python -m ray_jobs.{step.stage}"


def test_the_sample_for_an_existing_ray_cluster_is_valid() -> None:
    (path,) = [path for path in SAMPLES if path.stem == "existing-ray"]
    job = load_job(path.read_text("utf-8"))
    assert find_runtime_problems(job, INSTALLATION) == []
