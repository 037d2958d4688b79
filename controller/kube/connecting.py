"""Finds the API server and the right to speak to it: in a pod by its service account, else by a
kubeconfig, as kubectl does."""

import os
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config
from kubernetes.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)

from controller.kube.http import HttpApi, Session
from distillery.errors import SpecError

DEFAULT_NAMESPACE = "default"


def connect(*, kubeconfig: str | None, context: str | None) -> tuple[HttpApi, str]:
    """The API server, and the namespace meant where none is named.

    Args:
        kubeconfig: A file; default: the pod's service account where there is one and no
            ``KUBECONFIG``, else ``KUBECONFIG`` or ``~/.kube/config``.
        context: Of the kubeconfig; default: its current one.

    Raises: ``SpecError`` where none can be read.
    """
    if kubeconfig is None and "KUBECONFIG" not in os.environ and _is_in_cluster():
        return HttpApi(Session(_configure_in_cluster)), _own_namespace()
    try:
        namespace = _context_namespace(kubeconfig, context)
        session = Session(lambda: _configure(kubeconfig, context))
    except (ConfigException, OSError, ValueError) as error:
        place = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise SpecError(
            f"{place[:120]}: is no usable kubeconfig, got {type(error).__name__}; name one with "
            "--kubeconfig or KUBECONFIG, and see that its context exists",
            reason="KubeconfigUnreadable",
        ) from error
    return HttpApi(session), namespace


def _is_in_cluster() -> bool:
    return SERVICE_HOST_ENV_NAME in os.environ and Path(SERVICE_TOKEN_FILENAME).is_file()


def _configure_in_cluster() -> Configuration:
    configuration = Configuration()
    InClusterConfigLoader(
        token_filename=SERVICE_TOKEN_FILENAME, cert_filename=SERVICE_CERT_FILENAME
    ).load_and_set(configuration)
    return configuration


def _own_namespace() -> str:
    path = Path(SERVICE_TOKEN_FILENAME).with_name("namespace")
    return path.read_text("utf-8").strip() if path.is_file() else DEFAULT_NAMESPACE


def _configure(kubeconfig: str | None, context: str | None) -> Configuration:
    configuration = Configuration()
    load_kube_config(
        config_file=kubeconfig,
        context=context,
        client_configuration=configuration,
        persist_config=False,
    )
    return configuration


def _context_namespace(kubeconfig: str | None, context: str | None) -> str:
    contexts, current = list_kube_config_contexts(config_file=kubeconfig)
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str((chosen.get("context") or {}).get("namespace") or DEFAULT_NAMESPACE)
