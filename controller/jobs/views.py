"""A DistillationJob as the API server holds it, read once: the typed job, or what is wrong with it.

Unknown fields are ignored here, as a newer or older schema may have them; the CRD and ``distillery
validate`` refuse them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from controller.kube.api import Json
from distillery.errors import Problem
from distillery.field_problems import find_field_problems
from distillery.spec.job import DistillationJob
from distillery.status import JobStatus
from distillery.validation.rules import find_problems

UPGRADE = "distillery.dev/upgrade"
"""Annotation of a job: a new value asks for the installation's present image, from the next attempt
on."""
_METADATA = ("name", "namespace", "labels", "annotations")


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One resource. ``job`` is None where the specification can't be read at all; ``problems`` is
    all that is wrong with it. ``status`` is what was recorded last, as far as it can be read."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created: str
    is_deleting: bool
    finalizers: tuple[str, ...]
    job: DistillationJob | None
    problems: tuple[Problem, ...]
    status: JobStatus
    raw_status: Json

    @property
    def key(self) -> str:
        """``<namespace>/<name>``."""
        return f"{self.namespace}/{self.name}"


def read_job(raw: Json) -> JobView:
    """The resource, read."""
    metadata = raw["metadata"]
    job, problems = _read_spec(raw)
    raw_status = raw.get("status") or {}
    return JobView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        created=metadata.get("creationTimestamp", ""),
        is_deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers", ())),
        job=job,
        problems=tuple(problems),
        status=_read_status(raw_status),
        raw_status=raw_status,
    )


def _read_spec(raw: Json) -> tuple[DistillationJob | None, Sequence[Problem]]:
    metadata = {name: value for name, value in raw["metadata"].items() if name in _METADATA}
    document = {
        "apiVersion": raw.get("apiVersion"),
        "kind": raw.get("kind"),
        "metadata": metadata,
        "spec": raw.get("spec"),
    }
    try:
        job = DistillationJob.model_validate(document, extra="ignore")
    except ValidationError as error:
        problems, _ = find_field_problems(error, document)
        return None, problems
    return job, find_problems(job)


def _read_status(raw: Json) -> JobStatus:
    """A status that can't be read counts as lost: it is built anew from what is there."""
    try:
        return JobStatus.model_validate(raw, extra="ignore")
    except ValidationError:
        return JobStatus()
