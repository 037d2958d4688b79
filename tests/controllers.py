"""Controller processes for tests: ``python -m controller`` against a real API server."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controller.kube.http import HttpApi
from controller.kube.resources import DISTILLATION_JOBS, LEASES, ROLE_BINDINGS, ROLES
from controller.operator.process import LEASE_NAME
from distillery.conditions import ConditionType
from distillery.status import JobStatus
from tests.controlplane.fixtures import ControlPlane
from tests.processes import REPOSITORY

USER = "distillery-controller"
CRD = REPOSITORY / "manifests" / "crd" / "distillery.dev_distillationjobs.yaml"
RBAC = REPOSITORY / "manifests" / "rbac" / "controller.yaml"
DEADLINE_S = 240.0


def install(control_plane: ControlPlane) -> None:
    """The CRD and the roles, and the controller's user bound to them."""
    control_plane.apply(CRD)
    control_plane.apply(RBAC)
    for role in ("distillery-controller", "distillery-controller-lease"):
        control_plane.apply_object(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": role},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": role,
                },
                "subjects": [
                    {"kind": "User", "name": USER, "apiGroup": "rbac.authorization.k8s.io"}
                ],
            }
        )


@dataclass(kw_only=True)
class Controllers:
    """Starts replicas that watch ``namespace`` alone, and stops just those."""

    control_plane: ControlPlane
    namespace: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    replicas: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api: HttpApi = self.control_plane.admin()
        self.kubeconfig = self.control_plane.kubeconfig_for(USER)
        path = self.folder / "settings.yaml"
        path.write_text(yaml.safe_dump({"watchNamespaces": [self.namespace], **self.settings}))
        # As if a leader before had freed it: else the first replica waits for one to speak up.
        self.api.create(
            LEASES,
            {
                "metadata": {"name": LEASE_NAME, "namespace": self.namespace},
                "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
            },
        )

    def start(self) -> subprocess.Popen[bytes]:
        """A replica."""
        number = len(self.replicas)
        with self.log(number).open("ab") as log:
            replica = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "controller",
                    f"--kubeconfig={self.kubeconfig}",
                    f"--config={self.folder / 'settings.yaml'}",
                    f"--namespace={self.namespace}",
                    "--health-address=127.0.0.1:0",
                ],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "POD_NAME": f"pod-{number}"},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.replicas.append(replica)
        return replica

    def log(self, number: int) -> Path:
        """The log of the replica of that number."""
        return self.folder / f"controller-{number}.log"

    def health_port(self, number: int) -> int:
        """Where the replica serves its pages."""
        text = self.log(number).read_text("utf-8")
        found = re.search(r"health is served port=(\d+)", text)
        assert found, text[-2000:]
        return int(found.group(1))

    def holder(self) -> str:
        """Who leads, as the lease says."""
        lease = self.api.fetch(LEASES, namespace=self.namespace, name=LEASE_NAME)
        return str(lease["spec"].get("holderIdentity") or "")

    def stop(self) -> None:
        """Ends all replicas."""
        for replica in self.replicas:
            if replica.poll() is None:
                replica.send_signal(signal.SIGCONT)
                replica.terminate()
        for replica in self.replicas:
            try:
                replica.wait(20)
            except subprocess.TimeoutExpired:
                replica.kill()
                replica.wait()

    def status(self, name: str) -> JobStatus:
        """A job's status."""
        raw = self.api.fetch(DISTILLATION_JOBS, namespace=self.namespace, name=name)
        return JobStatus.model_validate(raw.get("status") or {}, extra="ignore")

    def wait(self, holds: Callable[[], bool], *, deadline_s: float = DEADLINE_S) -> float:
        """Waits until it holds; returns the seconds that took."""
        started = time.monotonic()
        while not holds():
            if time.monotonic() - started > deadline_s:
                raise AssertionError("".join(self.tails()))
            time.sleep(0.1)
        return time.monotonic() - started

    def tails(self) -> Sequence[str]:
        """The ends of all logs."""
        return [
            f"\n--- replica {number}\n{self.log(number).read_text('utf-8')[-3000:]}"
            for number in range(len(self.replicas))
        ]

    def is_finished(self, name: str) -> bool:
        """Whether the job has ended."""
        return self.status(name).is_true(ConditionType.FINISHED)


def allow_secret(controllers: Controllers, name: str) -> None:
    """Lets the controller read this one Secret, as an administrator does for external clusters."""
    metadata = {"name": name, "namespace": controllers.namespace}
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    group = "rbac.authorization.k8s.io"
    controllers.api.create(ROLES, {"metadata": metadata, "rules": [rule]})
    controllers.api.create(
        ROLE_BINDINGS,
        {
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "User", "name": USER, "apiGroup": group}],
        },
    )
