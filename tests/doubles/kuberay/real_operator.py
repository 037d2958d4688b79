"""The real KubeRay operator as a process, where ``KUBERAY_OPERATOR`` names its binary.

It is no part of this project and can be installed from no registry: tests that want it skip
without it. It ends after two minutes where one of its kinds isn't served, whether used or not.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

VARIABLE = "KUBERAY_OPERATOR"
READY_S = 60.0
STOP_S = 20.0


def find_operator() -> Path | None:
    """The operator's binary, where there is one."""
    path = os.environ.get(VARIABLE, "")
    return Path(path) if path and os.access(path, os.X_OK) else None


def write_unused_crds(folder: Path) -> list[Path]:
    """CRDs, a file each, of the kinds that the operator wants to watch and we don't use."""
    paths = []
    for kind in ("RayService", "RayCronJob"):
        names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()}
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{names['plural']}.ray.io"},
            "spec": {
                "group": "ray.io",
                "names": names,
                "scope": "Namespaced",
                "versions": [version],
            },
        }
        paths.append(folder / f"{names['plural']}.json")
        paths[-1].write_text(json.dumps(crd), "utf-8")
    return paths


@contextmanager
def running_operator(binary: Path, *, kubeconfig: Path, folder: Path) -> Iterator[None]:
    """Runs the operator until the end of the block; its log is ``folder/kuberay.log``."""
    metrics, probe = _free_port(), _free_port()
    command = [
        str(binary),
        "--enable-leader-election=false",
        f"--metrics-addr=127.0.0.1:{metrics}",
        f"--health-probe-bind-address=127.0.0.1:{probe}",
    ]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    log_path = folder / "kuberay.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{probe}/readyz", log_path)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not _is_ready(url):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log_path.read_text("utf-8", "replace")[-2000:]
            raise AssertionError(f"{VARIABLE}: the operator doesn't get ready:\n{tail}")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
