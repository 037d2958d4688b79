"""``python -m controller``: the controller's process in a cluster."""

import argparse
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from controller.kube.connecting import connect
from controller.operator.process import ControllerProcess, Identity
from controller.operator.settings import read_settings
from distillery.errors import DistilleryError

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
EXIT_OK, EXIT_LOST, EXIT_BAD_SETTINGS = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT (0) or the loss of the lease (1)."""
    parser = argparse.ArgumentParser(prog="python -m controller", description=__doc__)
    parser.add_argument("--config", default="", metavar="FILE", help="settings, as YAML")
    parser.add_argument("--health-address", default="0.0.0.0:8081", metavar="HOST:PORT")
    parser.add_argument("--kubeconfig", default=None, help="default: the pod's service account")
    parser.add_argument("--namespace", default="", help="of the lease; default: the pod's")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING"))
    parsed = parser.parse_args(argv)
    logging.basicConfig(
        level=parsed.log_level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    host, _, port = parsed.health_address.rpartition(":")
    try:
        settings = read_settings(parsed.config)
        api, default_namespace = connect(kubeconfig=parsed.kubeconfig, context=None)
    except DistilleryError as error:
        sys.stderr.write(f"{error.message}\n")
        return EXIT_BAD_SETTINGS
    namespace = parsed.namespace or _own_namespace() or default_namespace
    identity = Identity(
        namespace=namespace,
        pod=os.environ.get("POD_NAME", socket.gethostname()),
        word=secrets.token_hex(4),
    )
    process = ControllerProcess(api, settings, identity=identity, health_address=(host, int(port)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    logging.getLogger(__name__).info("health is served port=%d", process.health.port)
    return EXIT_OK if process.run() else EXIT_LOST


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text("utf-8").strip() if _NAMESPACE_FILE.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
