"""The real API server, with KubeRay's true CRDs, admits everything that is built for a job.

The CRDs' schemas and CEL rules are in force; what a schema doesn't know is dropped, so each stored
object is compared with what was sent.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from controller.kube.api import KubeApi
from controller.kube.faults import ForbiddenError
from controller.kube.resources import PODS, RAY_JOBS, Resource
from controller.launchers.kuberay.companions import build_companions
from distillery.spec.job import DistillationJob
from tests.unit.kuberay.all_ray_jobs import SAMPLES, VARIANTS, ray_jobs_of, sample_job, variant_job
from tests.unit.kuberay.kuberay_schemas import crd_folder
from tests.unit.kuberay.launches import INSTALLATION, UID, templates_of, with_metadata

pytestmark = pytest.mark.controlplane

NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def api(control_plane: Any) -> KubeApi:
    """The administrator's client, once the CRDs are served."""
    folder = crd_folder()
    for name in ("ray.io_rayjobs.yaml", "ray.io_rayclusters.yaml"):
        control_plane.apply(folder / name)
    client: KubeApi = control_plane.admin()
    return client


@pytest.fixture
def namespace(control_plane: Any) -> str:
    """An empty namespace."""
    return str(control_plane.new_namespace())


def part_that_was_sent(stored: Any, sent: Any) -> Any:
    """Of what is stored, the fields that were sent; the API server adds defaults."""
    if isinstance(sent, dict):
        return {
            key: part_that_was_sent(stored[key], value)
            for key, value in sent.items()
            if key in stored
        }
    if isinstance(sent, list) and len(stored) == len(sent):
        return [part_that_was_sent(*pair) for pair in zip(stored, sent, strict=True)]
    return stored


def check_admitted(api: KubeApi, job: DistillationJob, namespace: str) -> None:
    placed = with_metadata(job, namespace=namespace)
    built = [(RAY_JOBS, ray_job) for ray_job in ray_jobs_of(placed)]
    for resource, body in (*built, *build_companions(placed, UID, INSTALLATION)):
        assert part_that_was_sent(api.create(resource, body), body) == body


@pytest.mark.parametrize("name", VARIANTS)
def test_everything_built_for_a_job_is_admitted_whole(
    api: KubeApi, namespace: str, name: str
) -> None:
    check_admitted(api, variant_job(name), namespace)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_admitted_whole(api: KubeApi, namespace: str, path: Path) -> None:
    check_admitted(api, sample_job(path), namespace)


def test_all_pods_pass_the_real_restricted_policy(api: KubeApi, namespace: str) -> None:
    api.merge(NAMESPACES, namespace="", name=namespace, patch={"metadata": {"labels": RESTRICTED}})
    job = with_metadata(variant_job("full-gpu"), namespace=namespace)
    for resource, body in build_companions(job, UID, INSTALLATION):
        api.create(resource, body)
    templates = [each for ray_job in ray_jobs_of(job) for each in templates_of(ray_job)]
    assert len(templates) > 6 * 2
    for index, template in enumerate(templates):
        create_pod(api, pod(template, namespace=namespace, name=f"pod-{index}"))
    template["spec"]["hostNetwork"] = True
    with pytest.raises(ForbiddenError):
        api.create(PODS, pod(template, namespace=namespace, name="refused"))


def create_pod(api: KubeApi, body: dict[str, Any]) -> None:
    """Creates the pod once the server's admission, which has a cache of its own, knows its service
    account."""
    deadline = time.monotonic() + 30.0
    while True:
        try:
            api.create(PODS, body)
        except ForbiddenError as error:
            if "error looking up service account" not in error.message:
                raise
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def pod(template: dict[str, Any], *, namespace: str, name: str) -> dict[str, Any]:
    """A pod as KubeRay would create it of a template."""
    metadata = {**template["metadata"], "namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
