"""Which changes go into a job's pod templates, in which order. What of them is refused:
``overrides.py``; how they are merged: ``merging.py``."""

from typing import Any

from controller.launchers.kuberay.installation import Installation, RuntimeProfile
from distillery.spec.job import DistillationJob


def patches_of(
    job: DistillationJob, installation: Installation, *, is_head: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is merged into a template: the profile's changes, then the job's."""
    runtime = job.spec.runtime
    profile = installation.profiles.get(runtime.profile, RuntimeProfile())
    if is_head:
        return profile.head, runtime.head
    return profile.workers, runtime.workers
