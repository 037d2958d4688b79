"""The quick start for real, applied to a real API server, run on a real Ray cluster.

Then ``distillery run`` with the same job and storage: it must find every step finished, for both
ways make the very same artefacts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from controller.kube.resources import DISTILLATION_JOBS, SECRETS
from controller.launchers.local_cluster import LocalCluster
from distillery.conditions import ConditionType
from distillery.loading import load_job
from distillery.local_uris import resolve_uris
from tests.controllers import Controllers, allow_secret, install
from tests.controlplane.fixtures import ControlPlane
from tests.processes import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

SAMPLE = REPOSITORY / "manifests" / "samples" / "quickstart.yaml"
NAMESPACE = "default"
DEADLINE_S = 1500.0


def make_inputs(folder: Path) -> None:
    """The quick start's data and its two models, where its job file looks for them."""
    subprocess.run(
        [sys.executable, "-m", "examples.miniature", "--out", "runs/quickstart/inputs"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
    )


def test_the_quick_start_ends_well_and_leaves_what_the_command_leaves(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    make_inputs(tmp_path)
    job = load_job(
        SAMPLE.read_text("utf-8"), resolve=lambda job: resolve_uris(job, base=str(tmp_path))
    )
    install(control_plane)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ray = LocalCluster(tmp_path, environ=environ)
    record = ray.start()
    controllers = Controllers(
        control_plane=control_plane,
        namespace=NAMESPACE,
        folder=tmp_path,
        settings={"externalRayScratchDir": str(tmp_path / "scratch")},
    )
    try:
        document = job.dump()
        document["spec"]["runtime"] = {  # type: ignore[index]
            "rayAddress": record.address,
            "rayTokenSecretRef": {"name": "ray", "key": "token"},
        }
        secret = {"metadata": {"name": "ray", "namespace": NAMESPACE}}
        controllers.api.create(SECRETS, {**secret, "stringData": {"token": record.read_token()}})
        allow_secret(controllers, "ray")
        controllers.start()
        controllers.api.create(DISTILLATION_JOBS, document)
        controllers.wait(lambda: controllers.is_finished("quickstart"), deadline_s=DEADLINE_S)
        status = controllers.status("quickstart")
    finally:
        controllers.stop()
        ray.stop(record)
    assert status.is_true(ConditionType.SUCCEEDED), controllers.tails()
    assert status.results is not None
    figures = {arm.arm: arm.mean for arm in status.results.arms}
    assert figures["ChainOfThought"] > figures["Vanilla"]

    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(job.dump()))
    done = subprocess.run(
        [sys.executable, "-m", "controller.cli.main", "run", str(path), "--workdir", "again"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads((tmp_path / "again" / "state.json").read_text("utf-8"))
    assert [attempt["step"] for attempt in state["attempts"]] == ["prepare"]
    reasons = {stage["stage"]: stage["reason"] for stage in state["status"]["stages"]}
    assert set(reasons.values()) == {"Done", "AlreadyFinished"}
    assert reasons["publish"] == "AlreadyFinished"
