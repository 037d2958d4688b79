"""Rules of ``spec.credentials`` and ``spec.runtime``, and of who refers to a credential.

What depends on the installation (profiles, overrides of pods) is the controller's.
"""

from collections.abc import Iterator

from distillery.errors import Problem
from distillery.spec.job import JobSpec
from distillery.spec.runtime import CredentialKind, RuntimeSpec

_PODS_ONLY = (
    ("image", "image"),
    ("profile", "profile"),
    ("service_account_name", "serviceAccountName"),
    ("queue_name", "queueName"),
    ("priority_class_name", "priorityClassName"),
    ("model_cache", "modelCache"),
    ("head", "head"),
    ("workers", "workers"),
)
"""Fields that speak of pods, as the model and as the user calls them."""


def find_runtime_problems(spec: JobSpec) -> list[Problem]:
    """What is wrong with credentials and runtime."""
    return [*_credential_problems(spec), *_reference_problems(spec), *_address_problems(spec)]


def find_machine_warnings(spec: JobSpec) -> list[Problem]:
    """What of the job has no effect where there is no cluster."""
    found = []
    if spec.credentials:
        message = (
            "are Secrets of a cluster; on this machine the surroundings' credentials are used "
            "(environment, ~/.aws, hf auth login)"
        )
        found.append(Problem(path="spec.credentials", message=message))
    if spec.runtime != RuntimeSpec(gpus=spec.runtime.gpus):
        message = "is for pods of a cluster and has no effect on this machine"
        found.append(Problem(path="spec.runtime", message=message))
    if spec.suspend:
        message = "is for a cluster and has no effect on this machine; Ctrl-C suspends a run here"
        found.append(Problem(path="spec.suspend", message=message))
    return found


def _credential_problems(spec: JobSpec) -> Iterator[Problem]:
    seen: set[str] = set()
    kinds = [each.kind for each in spec.credentials]
    for index, credential in enumerate(spec.credentials):
        path = f"spec.credentials[{index}]"
        if credential.name in seen:
            message = f"is another credential's name already, got {credential.name}; rename one"
            yield Problem(path=f"{path}.name", message=message)
        seen.add(credential.name)
        is_hub = credential.kind == CredentialKind.HUGGING_FACE
        if is_hub and CredentialKind.HUGGING_FACE in kinds[:index]:
            message = "a process has one hub token, got a second HuggingFace credential; remove it"
            yield Problem(path=f"{path}.kind", message=message)


def _references(spec: JobSpec) -> Iterator[tuple[str, str | None, CredentialKind]]:
    yield "spec.storage.credentialsRef", spec.storage.credentials_ref, CredentialKind.S3
    hub = CredentialKind.HUGGING_FACE
    yield "spec.teacher.model.credentialsRef", spec.teacher.model.credentials_ref, hub
    for index, student in enumerate(spec.students):
        path = f"spec.students[{index}].model.credentialsRef"
        yield path, student.model.credentials_ref, hub


def _reference_problems(spec: JobSpec) -> Iterator[Problem]:
    kinds = {each.name: each.kind for each in spec.credentials}
    for path, name, want in _references(spec):
        if name is None or kinds.get(name) == want:
            continue
        fitting = [each.name for each in spec.credentials if each.kind == want]
        way_out = f"use {fitting[0]}" if fitting else f"add one to spec.credentials, kind {want}"
        yield Problem(
            path=path, message=f"names no credential of kind {want}, got {name}; {way_out}"
        )


def _address_problems(spec: JobSpec) -> Iterator[Problem]:
    runtime = spec.runtime
    if not runtime.ray_address:
        if runtime.ray_token_secret_ref is not None:
            message = "is for spec.runtime.rayAddress only, got a Secret; remove it"
            yield Problem(path="spec.runtime.rayTokenSecretRef", message=message)
        return
    if spec.credentials:
        message = (
            "can't be handed to another's Ray cluster, got rayAddress besides; storage "
            "credentials must be on that cluster already, remove them here"
        )
        yield Problem(path="spec.credentials", message=message)
    for name, alias in _PODS_ONLY:
        if getattr(runtime, name):
            message = "is for pods of the job's own, got rayAddress besides; remove one of the two"
            yield Problem(path=f"spec.runtime.{alias}", message=message)
