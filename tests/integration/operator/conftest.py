"""A real API server with everything installed, and a real Ray cluster whose stages are scripted."""

import base64
import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.kube.api import Json
from controller.kube.resources import DISTILLATION_JOBS, SECRETS
from controller.launchers.local_cluster import ClusterRecord, LocalCluster
from tests.builders import make_document
from tests.controllers import Controllers, allow_secret, install
from tests.controlplane.fixtures import ControlPlane

SCRIPTED_STAGE = Path(__file__).parents[2] / "servers" / "scripted_stage.py"


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with CRD and roles."""
    install(control_plane)
    return control_plane


@pytest.fixture
def controllers(installed: ControlPlane, tmp_path: Path) -> Iterator[Controllers]:
    """Replicas of a namespace of the test's own."""
    found = Controllers(
        control_plane=installed,
        namespace=installed.new_namespace(),
        folder=tmp_path,
        settings={"externalRayScratchDir": str(tmp_path / "scratch")},
    )
    yield found
    found.stop()


@dataclass(frozen=True, kw_only=True)
class ScriptedRay:
    """A Ray cluster on which ``python -m ray_jobs.<stage>`` does what ``script.json`` says."""

    record: ClusterRecord
    folder: Path

    def write_script(self, **steps: dict[str, Any]) -> None:
        """What steps do from now on; the journal is a new one."""
        (self.folder / "journal").unlink(missing_ok=True)
        script = {"journal": str(self.folder / "journal"), "steps": steps}
        (self.folder / "script.json").write_text(json.dumps(script), "utf-8")

    def journal(self) -> list[str]:
        """What was started and done, in order."""
        path = self.folder / "journal"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [" ".join(line.split()[:2]) for line in lines]


@pytest.fixture(scope="session")
def scripted_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedRay]:
    folder = tmp_path_factory.mktemp("scripted-ray")
    wrapper = folder / "bin" / "python"
    wrapper.parent.mkdir()
    # Ray itself is started by its full path: this Python is found by stages alone.
    wrapper.write_text(f"#!/bin/sh\nexec {sys.executable} {SCRIPTED_STAGE} {folder}/script.json\n")
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    environ = {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
    cluster = LocalCluster(folder, environ=environ)
    record = cluster.start()
    yield ScriptedRay(record=record, folder=folder)
    cluster.stop(record)


def apply_job(controllers: Controllers, ray: ScriptedRay, name: str, **changes: Any) -> Json:
    """Creates a job that runs on ``ray``, and the Secret with its token."""
    token = base64.b64encode(ray.record.read_token().encode()).decode()
    controllers.api.create(
        SECRETS,
        {
            "metadata": {"name": f"{name}-ray", "namespace": controllers.namespace},
            "data": {"token": token},
        },
    )
    allow_secret(controllers, f"{name}-ray")
    runtime = {
        "rayAddress": ray.record.address,
        "rayTokenSecretRef": {"name": f"{name}-ray", "key": "token"},
    }
    document = make_document(runtime=runtime, **changes)
    document["metadata"] |= {"name": name, "namespace": controllers.namespace}
    return controllers.api.create(DISTILLATION_JOBS, document)
