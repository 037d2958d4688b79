"""``spec.runtime`` and ``spec.credentials``: where a job's pods run, in a cluster.

Nothing here decides a result: no input hash covers it. ``distillery run`` has no pods and warns
of what it can't use.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from distillery.names import MAX_JOB_NAME_CHARS, NAME_PATTERN
from distillery.spec.gpus import GpusSpec
from distillery.spec.model import Model

SecretName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
CredentialName = Annotated[
    str, Field(min_length=1, max_length=MAX_JOB_NAME_CHARS, pattern=NAME_PATTERN)
]


class SecretRef(Model):
    """A Secret of the job's namespace."""

    name: SecretName
    """The Secret's name."""


class SecretKeyRef(Model):
    """One key of a Secret of the job's namespace."""

    name: SecretName
    """The Secret's name."""
    key: str = Field(default="token", min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
    """The key in it."""


class CredentialKind(StrEnum):
    """What a credential opens, and so which keys its Secret must have."""

    S3 = "S3"
    HUGGING_FACE = "HuggingFace"


class CredentialSpec(Model):
    """A Secret that steps may read. Keys: for ``S3`` ``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY`` and, where there is one, ``AWS_SESSION_TOKEN``; for ``HuggingFace``
    ``HF_TOKEN``."""

    name: CredentialName
    """What ``credentialsRef`` fields call it."""
    kind: CredentialKind
    secret_ref: SecretRef


class ClaimCache(Model):
    """An existing PersistentVolumeClaim that many nodes may mount (ReadWriteMany)."""

    type: Literal["claim"] = "claim"
    claim_name: SecretName
    """The PersistentVolumeClaim, in the job's namespace."""


class EphemeralCache(Model):
    """A volume made for each pod and gone with it."""

    type: Literal["ephemeral"] = "ephemeral"
    storage_class_name: str = Field(default="", max_length=253)
    """Default: the cluster's."""
    size_gib: int = Field(ge=1, le=65_536)
    """Size of each pod's volume; it must hold the largest model."""


ModelCache = Annotated[ClaimCache | EphemeralCache, Field(discriminator="type")]


class RuntimeSpec(Model):
    """How the job's steps run in a cluster; defaults are the installation's."""

    image: str = Field(default="", max_length=512)
    """Image of all Ray pods. Default: the installation's; kept as it was when the job began."""
    profile: str = Field(default="", max_length=MAX_JOB_NAME_CHARS)
    """An administrator's runtime profile, for what a job may not ask for by itself."""
    service_account_name: str = Field(default="", max_length=253)
    """Identity of the pods, for ambient credentials. Default: one made for the job."""
    queue_name: str = Field(default="", max_length=253)
    """Kueue LocalQueue that admits the steps."""
    priority_class_name: str = Field(default="", max_length=253)
    """PriorityClass of the pods."""
    model_cache: ModelCache | None = None
    """Where model weights are kept. Default: the pod's scratch folder."""
    gpus: GpusSpec | None = None
    """The GPUs that the pods get. With them a job that can't fit is refused at once."""
    scratch_gib: int = Field(default=20, ge=1, le=65_536)
    """Local disk of each pod, for checkpoints and downloads."""
    max_parallel_steps: int = Field(default=1, ge=1, le=16)
    """Most steps of the job at once."""
    step_deadline_seconds: int = Field(default=604_800, ge=60, le=31_536_000)
    """Longest time an attempt may be running; waiting for a place doesn't count."""
    unschedulable_seconds: int = Field(default=1800, ge=60, le=604_800)
    """Longest time an attempt's pods may wait for their places before it is tried again later."""
    stall_seconds: int = Field(default=1800, ge=60, le=604_800)
    """Longest time a running attempt may stand still before it is stopped and tried again."""
    ray_address: str = Field(default="", max_length=1024, pattern=r"^(https?://\S+)?$")
    """Dashboard of an existing Ray cluster that runs the steps instead of pods of their own."""
    ray_token_secret_ref: SecretKeyRef | None = None
    """``rayAddress`` only: that cluster's authentication token."""
    head: dict[str, Any] = Field(default_factory=dict)
    """Changes to head pods, as in a pod template: ``metadata`` and ``spec``, merged strategically.
    Command, labels, our environment, mounts, GPU counts and privileges can't be changed."""
    workers: dict[str, Any] = Field(default_factory=dict)
    """Changes to worker pods, as ``head``."""
