"""``spec.runtime.gpus``: the GPUs that the job's pods get."""

from enum import StrEnum

from pydantic import Field

from distillery.spec.model import Model


class GpuKind(StrEnum):
    """A GPU, with its memory where there are several sizes."""

    A100_40 = "A100-40GB"
    A100_80 = "A100-80GB"
    H100_80 = "H100-80GB"
    H200 = "H200-141GB"
    B200 = "B200-180GB"
    GB200 = "GB200-186GB"
    MI300X = "MI300X-192GB"


class GpusSpec(Model):
    """What sizing reckons with: a job that can't fit is refused before a pod starts. It doesn't
    choose nodes; node selectors do."""

    kind: GpuKind
    per_node: int = Field(default=8, ge=1, le=64)
    """GPUs of one node."""
    usd_per_hour: float | None = Field(default=None, ge=0, le=10_000)
    """Price of one GPU for an hour, for the estimate of the cost."""
