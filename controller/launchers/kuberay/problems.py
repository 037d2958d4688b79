"""Why a job can't be run in pods of its own, or on the Ray cluster it names: found beforehand.

The controller reports it as condition Accepted=False, and nothing is created. What is wrong with a
job wherever it runs is ``distillery.validation``'s.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from controller.launchers.kuberay.credential_problems import find_credential_problems
from controller.launchers.kuberay.groups import layout_of
from controller.launchers.kuberay.installation import Installation, PodSize, RuntimeProfile
from controller.launchers.kuberay.labels import KUEUE_QUEUE
from controller.launchers.kuberay.merging import merge
from controller.launchers.kuberay.overrides import Patch, find_override_problems
from controller.launchers.kuberay.patches import patches_of
from controller.launchers.kuberay.places import LOG_SHIPPER, RAY_HEAD, RAY_WORKER
from controller.launchers.kuberay.sizing import (
    find_size_problems,
    ray_resources,
    shipper_resources,
)
from distillery.errors import Problem
from distillery.spec.job import DistillationJob
from distillery.steps import steps_of

_RUNTIME = "spec.runtime"
_ONLY_WITH_PODS = (
    "image",
    "profile",
    "serviceAccountName",
    "queueName",
    "priorityClassName",
    "modelCache",
    "head",
    "workers",
)


def find_runtime_problems(job: DistillationJob, installation: Installation) -> list[Problem]:
    """Everything that keeps the job from being run as ``spec.runtime`` says."""
    if job.spec.runtime.ray_address:
        return list(_address_problems(job))
    problems = [
        *_token_problems(job),
        *_image_problems(job, installation),
        *_queue_problems(job),
        *find_credential_problems(job.spec),
        *_profile_problems(job, installation),
        *_patch_problems(job, installation),
    ]
    # Sizes are added up and mounts are looked for in what is known to be well formed.
    return problems or [*_size_problems(job, installation), *_storage_problems(job, installation)]


def _address_problems(job: DistillationJob) -> Iterator[Problem]:
    runtime, path = job.spec.runtime, f"{_RUNTIME}.rayAddress"
    if "@" in urlsplit(runtime.ray_address).netloc:
        message = "must hold no password, got one; put a token's Secret into rayTokenSecretRef"
        yield Problem(path=path, message=message)
    if job.spec.credentials:
        names = ", ".join(each.name for each in job.spec.credentials)
        message = (
            f"can't be used with runtime.rayAddress, got {names[:100]}; "
            "storage credentials must already be on that cluster, remove them here"
        )
        yield Problem(path="spec.credentials", message=message)
    document = runtime.dump()
    for name in _ONLY_WITH_PODS:
        if document.get(name):
            value = document[name]
            got = value[:100] if isinstance(value, str) else "a mapping"
            wrong = f"is for pods, which rayAddress has none of, got {got}"
            yield Problem(path=f"{_RUNTIME}.{name}", message=f"{wrong}; remove one of them")


def _token_problems(job: DistillationJob) -> Iterator[Problem]:
    ref = job.spec.runtime.ray_token_secret_ref
    if ref is not None:
        message = f"is for rayAddress only, got {ref.name[:100]}; remove it, or set rayAddress"
        yield Problem(path=f"{_RUNTIME}.rayTokenSecretRef", message=message)


def _image_problems(job: DistillationJob, installation: Installation) -> Iterator[Problem]:
    if not job.spec.runtime.image and not installation.image:
        message = "is missing, and the installation has no default; name the image of Ray pods"
        yield Problem(path=f"{_RUNTIME}.image", message=message)


def _queue_problems(job: DistillationJob) -> Iterator[Problem]:
    wanted, label = job.spec.runtime.queue_name, job.metadata.labels.get(KUEUE_QUEUE)
    if wanted and label and label != wanted:
        message = f"must be the label's queue ({label[:63]}), got {wanted[:63]}; keep one of them"
        yield Problem(path=f"{_RUNTIME}.queueName", message=message)


def _profile_problems(job: DistillationJob, installation: Installation) -> Iterator[Problem]:
    name, namespace = job.spec.runtime.profile, job.metadata.namespace
    if not name:
        return
    path = f"{_RUNTIME}.profile"
    profile = installation.profiles.get(name)
    if profile is None:
        known = ", ".join(sorted(installation.profiles)) or "none"
        yield Problem(path=path, message=f"is unknown, got {name}; there are: {known}"[:180])
    elif profile.namespaces and namespace not in profile.namespaces:
        message = f"is not for namespace {namespace}, got {name}; ask an administrator"
        yield Problem(path=path, message=message)


def _patch_problems(job: DistillationJob, installation: Installation) -> Iterator[Problem]:
    runtime = job.spec.runtime
    for place, container in (("head", RAY_HEAD), ("workers", RAY_WORKER)):
        profile: RuntimeProfile | None = installation.profiles.get(runtime.profile)
        if profile is not None:
            yield from find_override_problems(
                Patch(
                    document=getattr(profile, place),
                    path=f"runtimeProfiles.{runtime.profile}.{place}",
                    container=container,
                    by_administrator=True,
                    has_model_cache=runtime.model_cache is not None,
                    gpu_resource=installation.gpu_resource,
                )
            )
        yield from find_override_problems(
            Patch(
                document=getattr(runtime, place),
                path=f"{_RUNTIME}.{place}",
                container=container,
                has_model_cache=runtime.model_cache is not None,
                gpu_resource=installation.gpu_resource,
            )
        )


def _size_problems(job: DistillationJob, installation: Installation) -> Iterator[Problem]:
    """One problem a place, though several steps may have it."""
    found: dict[str, Problem] = {}
    for is_head, size, gpus in _pods(job, installation):
        template = _sized(job, installation, is_head=is_head, size=size, gpus=gpus)
        path = f"{_RUNTIME}.{'head' if is_head else 'workers'}"
        for problem in find_size_problems(template, path):
            found.setdefault(problem.path, problem)
    yield from found.values()


def _pods(job: DistillationJob, installation: Installation) -> Iterator[tuple[bool, PodSize, int]]:
    for step in steps_of(job.spec):
        layout = layout_of(step, job.spec, installation)
        yield True, layout.head, 0
        for group in layout.groups:
            yield False, group.size, group.gpus


def _sized(
    job: DistillationJob, installation: Installation, *, is_head: bool, size: PodSize, gpus: int
) -> dict[str, Any]:
    """A template of nothing but sizes, with the changes in it."""
    ray = ray_resources(
        size,
        scratch_gib=job.spec.runtime.scratch_gib,
        gpus=gpus,
        gpu_resource=installation.gpu_resource,
    )
    containers = [
        {"name": RAY_HEAD if is_head else RAY_WORKER, "resources": ray},
        {"name": LOG_SHIPPER, "resources": shipper_resources()},
    ]
    template: dict[str, Any] = {"spec": {"containers": containers}}
    for patch in patches_of(job, installation, is_head=is_head):
        template = merge(template, patch)
    return template


def _storage_problems(job: DistillationJob, installation: Installation) -> Iterator[Problem]:
    uri = job.spec.storage.uri
    if not uri.startswith("file://"):
        return
    path = posixpath.normpath(unquote(urlsplit(uri).path))
    kinds = {is_head for is_head, _, _ in _pods(job, installation)}
    for is_head in sorted(kinds, reverse=True):
        patches = patches_of(job, installation, is_head=is_head)
        container = RAY_HEAD if is_head else RAY_WORKER
        if not any(
            _covers(mount, path) for patch in patches for mount in _mounts(patch, container)
        ):
            where = "head" if is_head else "workers"
            message = (
                f"must be s3://, for pods share no disk, got {uri[:80]}; "
                f"or mount a shared volume there in spec.runtime.{where}"
            )
            yield Problem(path="spec.storage.uri", message=message)
            return


def _mounts(patch: Mapping[str, Any], container: str) -> Iterator[str]:
    for each in patch.get("spec", {}).get("containers", []):
        if each["name"] == container:
            yield from (mount["mountPath"] for mount in each.get("volumeMounts", []))


def _covers(mount: str, path: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")
