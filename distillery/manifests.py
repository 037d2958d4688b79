"""What makes a step finished: its manifest, and the names of the files beside it.

A step is finished exactly when ``manifest_key`` exists; it is created last, conditionally
(``ray_jobs.storage.artefacts.commit_manifest``). Nothing here reads or writes storage.
"""

import hashlib
import json
from typing import Any

from pydantic import Field

from distillery.spec.model import Model

MANIFEST_NAME = "manifest.json"


class Artefact(Model):
    """One file of a step. ``path`` is relative to the step's prefix."""

    path: str
    size_bytes: int = Field(ge=0)
    sha256: str


class ManifestRef(Model):
    """A manifest by place and content. ``prefix`` is the step's key below the storage root."""

    prefix: str
    sha256: str


class StepManifest(Model):
    """What a finished step left behind."""

    schema_version: int = 1
    job: str
    namespace: str
    step: str
    input_hash: str
    artefacts: tuple[Artefact, ...]
    versions: dict[str, str]
    """Package name to version, of everything that made these artefacts."""
    inputs: dict[str, str]
    """Upstream step to the SHA-256 of the manifest that was read."""
    summary: dict[str, Any]
    """The stage's own figures, for the report and for the steps below."""

    def to_bytes(self) -> bytes:
        """The manifest as stored: the same bytes for the same content."""
        return canonical_json(self.dump()) + b"\n"


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no white space: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def step_prefix(*, namespace: str, job: str, step: str, input_hash: str) -> str:
    """The key below which a step keeps its outputs."""
    return f"jobs/{namespace}/{job}/{step}/{input_hash}"


def manifest_key(prefix: str) -> str:
    """The key of the manifest of the step, or trial, kept below ``prefix``."""
    return f"{prefix}/{MANIFEST_NAME}"


def teacher_prefix(*, namespace: str, fingerprint: str) -> str:
    """The key below which a teacher's answers are kept, shared by a namespace's jobs."""
    return f"teacher/{namespace}/{fingerprint}"
