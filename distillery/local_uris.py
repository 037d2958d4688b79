"""Plain paths in a job made ``file://`` URIs, for the command on one machine. Pure."""

import posixpath
from urllib.parse import quote

from distillery.spec.dataset import DataSource
from distillery.spec.job import DistillationJob
from distillery.spec.student import StudentSpec
from distillery.spec.teacher import ModelRef


def resolve_uri(uri: str, *, base: str) -> str:
    """``uri`` where it has a scheme; otherwise the ``file://`` URI of the path, relative to the
    absolute folder ``base``."""
    if "://" in uri:
        return uri
    return "file://" + quote(posixpath.normpath(posixpath.join(base, uri)))


def resolve_uris(job: DistillationJob, *, base: str) -> DistillationJob:
    """The job with every plain path (storage, data sets, models) made a URI."""
    spec = job.spec
    dataset = spec.dataset.model_copy(
        update={
            split: _source(getattr(spec.dataset, split), base)
            for split in ("train", "validation", "test")
        }
    )
    teacher = spec.teacher.model_copy(update={"model": _model(spec.teacher.model, base)})
    storage = spec.storage.model_copy(update={"uri": resolve_uri(spec.storage.uri, base=base)})
    resolved = spec.model_copy(
        update={
            "dataset": dataset,
            "teacher": teacher,
            "students": tuple(_student(student, base) for student in spec.students),
            "storage": storage,
        }
    )
    return job.model_copy(update={"spec": resolved})


def _source(source: DataSource, base: str) -> DataSource:
    return source.model_copy(update={"uri": resolve_uri(source.uri, base=base)})


def _model(model: ModelRef, base: str) -> ModelRef:
    return model.model_copy(update={"uri": resolve_uri(model.uri, base=base)})


def _student(student: StudentSpec, base: str) -> StudentSpec:
    return student.model_copy(update={"model": _model(student.model, base)})
