"""What is wrong with ``spec.credentials`` and the fields that name one, for a job in pods."""

from collections.abc import Iterator

from distillery.errors import Problem
from distillery.spec.job import JobSpec
from distillery.spec.runtime import CredentialKind


def find_credential_problems(spec: JobSpec) -> Iterator[Problem]:
    """Credentials named twice, missing, of the wrong kind, or more than a step can use."""
    names = [each.name for each in spec.credentials]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = f"must differ from the others, got {name}; rename or remove it"
            yield Problem(path=f"spec.credentials[{index}].name", message=message)
    kinds = {each.name: each.kind for each in spec.credentials}
    for path, name, kind in _references(spec):
        if name not in kinds:
            message = f"names no credential, got {name}; add it to spec.credentials"
            yield Problem(path=path, message=message)
        elif kinds[name] != kind:
            message = f"must name a credential of kind {kind}, got {name} ({kinds[name]})"
            yield Problem(path=path, message=f"{message}; name another")
    hubs = [each.name for each in spec.credentials if each.kind == CredentialKind.HUGGING_FACE]
    if len(hubs) > 1:
        message = f"may hold one of kind HuggingFace, got {', '.join(hubs)[:120]}"
        way_out = "use one token that may read all models"
        yield Problem(path="spec.credentials", message=f"{message}; {way_out}")


def _references(spec: JobSpec) -> Iterator[tuple[str, str, CredentialKind]]:
    models = [("spec.teacher.model", spec.teacher.model)]
    models += [(f"spec.students[{i}].model", each.model) for i, each in enumerate(spec.students)]
    for path, model in models:
        if model.credentials_ref:
            yield f"{path}.credentialsRef", model.credentials_ref, CredentialKind.HUGGING_FACE
    if spec.storage.credentials_ref:
        yield "spec.storage.credentialsRef", spec.storage.credentials_ref, CredentialKind.S3
