"""Secrets as files, only for the steps that need them.

Below ``places.CREDENTIALS_DIR`` each credential has a folder of its name, in it a file for each key
of its Secret. They are read anew by who uses them, so a Secret may be changed while a step runs.
Nothing here sees a secret: the kubelet puts them there.
"""

from collections.abc import Iterable

from controller.kube.api import Json
from controller.launchers.kuberay.places import CREDENTIALS_DIR
from distillery.spec.job import JobSpec
from distillery.spec.runtime import CredentialKind, CredentialSpec
from distillery.spec.teacher import ModelRef
from distillery.steps import Stage, Step

FILE_MODE = 0o400
"""Read by the owner; with a pod's ``fsGroup`` the kubelet lets that group read too."""

HUB_TOKEN = "HF_TOKEN"
_KEYS = {
    CredentialKind.S3: (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SESSION_TOKEN",)),
    CredentialKind.HUGGING_FACE: ((HUB_TOKEN,), ()),
}
"""Keys a Secret must have, and keys it may have."""


def storage_credential(spec: JobSpec) -> CredentialSpec | None:
    """The credential of the job's storage, where it names one that there is."""
    return _named(spec, (spec.storage.credentials_ref,), CredentialKind.S3)


def hub_credential(step: Step, spec: JobSpec) -> CredentialSpec | None:
    """The hub's credential of ``step``: that of a model it reads. Data sets name none of their own,
    so prepare takes the job's for them."""
    refs = [model.credentials_ref for model in _models_of(step, spec)]
    if step.stage == Stage.PREPARE and _reads_hub_data(spec):
        refs += [each.name for each in spec.credentials]
    return _named(spec, refs, CredentialKind.HUGGING_FACE)


def credentials_of(step: Step, spec: JobSpec) -> tuple[CredentialSpec, ...]:
    """What the pods of ``step`` may read."""
    found = (storage_credential(spec), hub_credential(step, spec))
    return tuple(each for each in found if each is not None)


def credentials_volume(credentials: Iterable[CredentialSpec]) -> Json:
    """The volume of these credentials, a folder each."""
    sources = [source for each in credentials for source in _sources(each)]
    return {"projected": {"defaultMode": FILE_MODE, "sources": sources}}


def credentials_environment(credentials: Iterable[CredentialSpec]) -> dict[str, str]:
    """The variables that tell a container where its credentials are; empty where it has none."""
    environment = {}
    for each in credentials:
        environment["DISTILLERY_CREDENTIALS_DIR"] = CREDENTIALS_DIR
        if each.kind == CredentialKind.HUGGING_FACE:
            environment["HF_TOKEN_PATH"] = f"{CREDENTIALS_DIR}/{each.name}/{HUB_TOKEN}"
    return environment


def _named(
    spec: JobSpec, names: Iterable[str | None], kind: CredentialKind
) -> CredentialSpec | None:
    """The first credential of ``kind`` among ``names``; ``problems.py`` refuses a second."""
    known = {each.name: each for each in spec.credentials if each.kind == kind}
    return next((known[name] for name in names if name in known), None)


def _models_of(step: Step, spec: JobSpec) -> list[ModelRef]:
    match step.stage:
        case Stage.PREPARE:
            return [spec.teacher.model, *(student.model for student in spec.students)]
        case Stage.GENERATE:
            return [spec.teacher.model]
        case Stage.TRAIN | Stage.EVALUATE:
            return [spec.student(step.student).model]
        case Stage.PUBLISH:
            return [student.model for student in spec.students]
        case Stage.CURATE:
            return []


def _reads_hub_data(spec: JobSpec) -> bool:
    splits = (spec.dataset.train, spec.dataset.validation, spec.dataset.test)
    return any(split.uri.startswith("hf://") for split in splits)


def _sources(credential: CredentialSpec) -> list[Json]:
    required, optional = _KEYS[credential.kind]
    sources = [_source(credential, required, optional=False)]
    return [*sources, _source(credential, optional, optional=True)] if optional else sources


def _source(credential: CredentialSpec, keys: tuple[str, ...], *, optional: bool) -> Json:
    items = [{"key": key, "path": f"{credential.name}/{key}"} for key in keys]
    return {"secret": {"name": credential.secret_ref.name, "items": items, "optional": optional}}
