"""``python -m controller.cli.main`` as a user's own process, on a real API server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.kube.api import Json
from controller.kube.faults import NotFoundError
from controller.kube.http import HttpApi
from controller.kube.resources import DISTILLATION_JOBS, PODS, ROLE_BINDINGS, ROLES
from tests.builders import make_document
from tests.controllers import Controllers
from tests.controlplane.fixtures import ControlPlane
from tests.processes import REPOSITORY
from tests.unit.controller.cluster_jobs import accepted, make_stage

pytestmark = pytest.mark.controlplane

ALICE = "alice"
LIMIT_S = 120
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A user's desk: a namespace, a kubeconfig, a command line."""

    api: HttpApi
    namespace: str
    kubeconfig: Path

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of the command."""
        place = ["-n", self.namespace, "--kubeconfig", str(self.kubeconfig)]
        done = subprocess.run(
            [sys.executable, "-m", "controller.cli.main", *arguments, *place],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def apply(self, **changes: object) -> Json:
        """Creates the job."""
        document = make_document(storage={"uri": "s3://bucket/store"}, **changes)
        document["metadata"]["namespace"] = self.namespace
        return self.api.create(DISTILLATION_JOBS, document)

    def job(self) -> Json:
        """The job as it is."""
        return self.api.fetch(DISTILLATION_JOBS, namespace=self.namespace, name="sums")

    def allow(self, group: str, *resources: str) -> None:
        """Lets the user do with these resources what ``edit`` would."""
        metadata = {"name": resources[0].replace("/", "-"), "namespace": self.namespace}
        verbs = ["get", "list", "patch", "delete"]
        rule = {"apiGroups": [group], "resources": list(resources), "verbs": verbs}
        self.api.create(ROLES, {"metadata": metadata, "rules": [rule]})
        self.api.create(
            ROLE_BINDINGS,
            {
                "metadata": metadata,
                "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": metadata["name"]},
                "subjects": [{"kind": "User", "name": ALICE, "apiGroup": RBAC}],
            },
        )


@pytest.fixture(scope="module")
def alices_kubeconfig(control_plane: ControlPlane) -> Path:
    return control_plane.kubeconfig_for(ALICE)


@pytest.fixture
def desk(installed: ControlPlane, alices_kubeconfig: Path) -> Desk:
    found = Desk(
        api=installed.admin(),
        namespace=installed.new_namespace(),
        kubeconfig=alices_kubeconfig,
    )
    found.allow("distillery.dev", "distillationjobs")
    return found


@pytest.fixture
def refusing(desk: Desk, installed: ControlPlane, tmp_path: Path) -> Iterator[Controllers]:
    """A controller of the desk's namespace."""
    found = Controllers(control_plane=installed, namespace=desk.namespace, folder=tmp_path)
    found.start()
    yield found
    found.stop()


def test_a_job_is_shown_suspended_resumed_and_deleted(desk: Desk) -> None:
    desk.apply()
    place = f"{desk.namespace}/sums"
    want = f"{place}: not looked at yet; see that the controller runs\n"
    assert desk.run("status", "sums") == (0, want, "")
    assert desk.run("suspend", "sums")[::2] == (0, "")
    assert desk.job()["spec"]["suspend"] is True
    assert desk.run("resume", "sums")[::2] == (0, "")
    assert desk.job()["spec"]["suspend"] is False
    code, out, err = desk.run("delete", "sums")
    want = f"{place}: deleted, its pods go too; what it made stays in s3://bucket/store\n"
    assert (code, out, err) == (0, want, "")
    with pytest.raises(NotFoundError):
        desk.job()
    code, out, err = desk.run("status", "sums")
    assert (code, out) == (2, "")
    assert err.startswith(f"{place}: there is no such DistillationJob; see kubectl get dj ")


def test_the_log_of_a_step_needs_the_right_to_see_pods(desk: Desk) -> None:
    desk.apply()
    desk.api.merge(
        DISTILLATION_JOBS,
        namespace=desk.namespace,
        name="sums",
        patch={"status": {"conditions": accepted(), "stages": [make_stage("prepare", "Running")]}},
        subresource="status",
    )
    code, out, err = desk.run("logs", "sums")
    assert (code, out) == (1, "")
    assert f'pods is forbidden: User "{ALICE}" cannot list resource "pods"' in err
    desk.allow("", "pods", "pods/log")
    want = f"prepare: its driver has not begun, there is no log yet; see distillery status sums -n {desk.namespace}\n"
    assert desk.run("logs", "sums") == (1, "", want)
    metadata = {"name": "p", "labels": {"job-name": "sums-prepare-1"}, "namespace": desk.namespace}
    container = {"name": "submitter", "image": "registry.example/none:1"}
    desk.api.create(PODS, {"metadata": metadata, "spec": {"containers": [container]}})
    assert desk.run("logs", "sums", "-f") == (1, "", want)


def test_why_the_controller_refused_a_job_is_told(desk: Desk, refusing: Controllers) -> None:
    desk.apply(students__0__arms=["Vanilla", "Gold"], dataset__train__maxRows=3)
    refusing.wait(lambda: bool(desk.job().get("status")))
    code, out, err = desk.run("status", "sums")
    first, kind, message = out.splitlines()[:3]
    assert (code, err) == (1, "")
    assert (first, kind) == (f"{desk.namespace}/sums: refused", "  Accepted=False InvalidSpec:")
    assert message.startswith("    spec.dataset.train.maxRows: ")
