"""The real API server with the generated CRD, and a namespace for each test."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi
from kubernetes.config import new_client_from_config

from tests.contract.crd.subject import DEFINITION, Jobs


@pytest.fixture(scope="session")
def custom_objects(control_plane: Any) -> Iterator[CustomObjectsApi]:
    """An administrator's client, once the CRD is served."""
    control_plane.apply(DEFINITION)
    with new_client_from_config(config_file=str(control_plane.kubeconfig)) as connection:
        yield CustomObjectsApi(connection)


@pytest.fixture
def jobs(custom_objects: CustomObjectsApi, control_plane: Any) -> Jobs:
    return Jobs(client=custom_objects, namespace=control_plane.new_namespace())


@pytest.fixture(scope="session")
def dry_jobs(custom_objects: CustomObjectsApi) -> Jobs:
    """For tests that leave nothing behind."""
    return Jobs(client=custom_objects, namespace="default")
