"""What the administrator set for all jobs: images, sizes, profiles, network. Written by the chart.

A job's own wishes are ``distillery.spec.runtime``; which of the two holds is decided where it is
used. Reading the file is the command line's.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from distillery.spec.model import Model

Port = Annotated[int, Field(ge=1, le=65_535)]


class PodSize(Model):
    """What a pod's Ray container asks for, and may use."""

    cpus: int = Field(ge=1, le=1024)
    memory_gib: int = Field(ge=1, le=65_536)
    """Shared memory is part of it."""


class RuntimeProfile(Model):
    """What a job gets that names this profile: changes to pods that a job may not ask for itself.

    They are merged before the job's own. What steps rely on can't be changed here either.
    """

    namespaces: tuple[str, ...] = ()
    """The namespaces whose jobs may use it; empty: all."""
    head: dict[str, Any] = Field(default_factory=dict)
    """Changes to head pods, as ``spec.runtime.head``."""
    workers: dict[str, Any] = Field(default_factory=dict)
    """Changes to worker pods, as ``spec.runtime.workers``."""


class NetworkSettings(Model):
    """Whom a job's pods may speak to. Peers and rules are NetworkPolicy's own objects."""

    enabled: bool = True
    operator_peers: tuple[dict[str, Any], ...] = (
        {
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
        },
    )
    """KubeRay's operator: may reach the dashboard."""
    metrics_peers: tuple[dict[str, Any], ...] = (
        {
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
        },
    )
    """Who may read metrics."""
    dns_peers: tuple[dict[str, Any], ...] = ()
    """Name servers; empty: anywhere, on port 53."""
    egress_peers: tuple[dict[str, Any], ...] = ()
    """Storage, hub and API server; empty: anywhere, on ``egressPorts`` and the storage's port."""
    egress_ports: tuple[Port, ...] = (443, 6443)
    extra_ingress: tuple[dict[str, Any], ...] = ()
    """Further ingress rules."""
    extra_egress: tuple[dict[str, Any], ...] = ()
    """Further egress rules, such as to a cloud's metadata server."""


class Installation(Model):
    """All settings that hold for every job."""

    namespace: str = "distillery-system"
    """The controller's own."""
    image: str = ""
    """Image of Ray pods where a job names none."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in the job's namespace."""
    ray_version: str = "2.60.0"
    """The images' Ray, for KubeRay."""
    service_account_name: str = ""
    """Identity of pods whose job names none; empty: one made for each job."""
    head: PodSize = PodSize(cpus=2, memory_gib=8)
    """Heads of steps that have workers: the driver runs there."""
    cpu_step: PodSize = PodSize(cpus=4, memory_gib=16)
    """Steps without GPUs; grows with the CPUs and caches their job asks for."""
    worker_per_gpu: PodSize = PodSize(cpus=4, memory_gib=32)
    """A worker's share for each of its GPUs."""
    gpu_resource: str = "nvidia.com/gpu"
    """The device plugin's name of a GPU."""
    run_as_user: int | None = Field(default=1000, ge=1)
    """User of all containers; none: the image's, which must be no root."""
    fs_group: int | None = Field(default=1000, ge=1)
    """Group that owns the volumes, so that the user can read credentials of mode 0400; none: the
    cluster assigns one, as OpenShift does."""
    read_only_root_filesystem: bool = False
    profiles: dict[str, RuntimeProfile] = Field(default_factory=dict)
    network_policy: NetworkSettings = NetworkSettings()
    rbac_per_job: bool = True
    """Whether each job gets a role for its progress; else an administrator has bound one."""
    child_ttl_seconds: int = Field(default=600, ge=0)
    """How long a RayJob is kept after its outcome is recorded."""
    metrics_port: Port = 8080
    """Ray's metrics, on each pod."""
