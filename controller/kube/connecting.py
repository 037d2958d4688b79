"""Finds the API server and the right to speak to it: in a pod by its service account, else by a
kubeconfig, as kubectl does. Only a kubeconfig's ``proxy-url`` leads through a proxy: the
environment's proxies are for other servers.

Requests are ``http.py``'s, reading the credentials anew ``session.py``'s.
"""

import os
from collections.abc import Callable
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config
from kubernetes.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from yaml import YAMLError

from controller.kube.http import HttpApi
from controller.kube.session import Session
from distillery.errors import SpecError, word

DEFAULT_NAMESPACE = "default"
SERVICE_ACCOUNT = Path(SERVICE_TOKEN_FILENAME).parent
"""Where a pod finds its token, the cluster's authority and its namespace."""
MAX_CONNECTIONS = 32
"""Kept open for the next request: the controller's workers and watches together are fewer."""
_UNREADABLE = (ConfigException, OSError, ValueError, TypeError, KeyError, YAMLError)


def connect(
    *, kubeconfig: str | None, context: str | None, account: Path = SERVICE_ACCOUNT
) -> tuple[HttpApi, str]:
    """The API server, and the namespace meant where none is named.

    Args:
        kubeconfig: A file; default: the pod's service account where there is one and no
            ``KUBECONFIG``, else ``KUBECONFIG`` or ``~/.kube/config``.
        context: Of the kubeconfig; default: its current one.
        account: The folder of the pod's service account.

    Raises: ``SpecError`` where none can be read.
    """
    if not kubeconfig and not _named_by_environment() and _is_in_cluster(account):
        return HttpApi(Session(_in_cluster(account))), _own_namespace(account)
    session = Session(_from_kubeconfig(kubeconfig, context))
    return HttpApi(session), _context_namespace(kubeconfig, context)


def _is_in_cluster(account: Path) -> bool:
    token = account / Path(SERVICE_TOKEN_FILENAME).name
    return bool(os.environ.get(SERVICE_HOST_ENV_NAME)) and token.is_file()


def _in_cluster(account: Path) -> Callable[[], Configuration]:
    loader = InClusterConfigLoader(
        token_filename=str(account / Path(SERVICE_TOKEN_FILENAME).name),
        cert_filename=str(account / Path(SERVICE_CERT_FILENAME).name),
    )

    def configure() -> Configuration:
        configuration = _new_configuration()
        try:
            loader.load_and_set(configuration)
        except _UNREADABLE as error:
            raise SpecError(
                f"{account}: is no usable service account, got {type(error).__name__}; mount one "
                "into the pod, or name a kubeconfig",
                reason="ServiceAccountUnreadable",
            ) from error
        return configuration

    return configure


def _own_namespace(account: Path) -> str:
    path = account / "namespace"
    return path.read_text("utf-8").strip() if path.is_file() else DEFAULT_NAMESPACE


def _from_kubeconfig(kubeconfig: str | None, context: str | None) -> Callable[[], Configuration]:
    def configure() -> Configuration:
        configuration = _new_configuration()
        try:
            load_kube_config(
                config_file=kubeconfig or _named_by_environment(),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        except _UNREADABLE as error:
            raise _unusable(kubeconfig, error) from error
        return configuration

    return configure


def _context_namespace(kubeconfig: str | None, context: str | None) -> str:
    try:
        contexts, current = list_kube_config_contexts(
            config_file=kubeconfig or _named_by_environment()
        )
    except _UNREADABLE as error:
        raise _unusable(kubeconfig, error) from error
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str((chosen.get("context") or {}).get("namespace") or DEFAULT_NAMESPACE)


def _named_by_environment() -> str | None:
    """Read now: the package's own default is what the variable was when it was imported."""
    return os.environ.get("KUBECONFIG") or None


def _new_configuration() -> Configuration:
    configuration = Configuration()
    configuration.proxy = None
    configuration.no_proxy = None
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = MAX_CONNECTIONS
    return configuration


def _unusable(kubeconfig: str | None, error: Exception) -> SpecError:
    place = kubeconfig or _named_by_environment() or "~/.kube/config"
    problem = (
        f"is no usable kubeconfig, got {type(error).__name__}; name one with --kubeconfig or "
        "KUBECONFIG, and see that its context exists"
    )
    return SpecError(word(place, problem), reason="KubeconfigUnreadable")
