"""Legal names: what a job, a student and a namespace may be called, and why.

The bounds come from the objects named after them later: DNS labels, and Kubernetes label values.
"""

import hashlib
import re

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
MAX_JOB_NAME_CHARS = 63
MAX_STUDENT_NAME_CHARS = 40
DEFAULT_NAMESPACE = "default"
MAX_ATTEMPT = 999
"""Attempts of one step over a job's whole life, so that names stay short enough for KubeRay."""

_NAME = re.compile(NAME_PATTERN)


def is_legal_name(name: str, *, max_chars: int) -> bool:
    """Whether ``name`` is a DNS-1035 label of at most ``max_chars`` characters."""
    return len(name) <= max_chars and _NAME.match(name) is not None


def child_name(*, job: str, job_uid: str, step_id: str, stage: str, attempt: int) -> str:
    """The name of an attempt's RayJob: at most 47 characters, the same each time it is asked for.

    The job's uid is part of it, so a job deleted and applied again has other children.
    """
    digest = hashlib.sha256(f"{job_uid}/{step_id}".encode()).hexdigest()[:8]
    return f"{job[:24].rstrip('-')}-{stage[:5]}-{digest}-{attempt}"


def progress_map_name(job: str) -> str:
    """The name of the ConfigMap a job's steps report to: one key a step."""
    return f"{job}-progress"
