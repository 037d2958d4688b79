"""Legal names: what a job, a student and a namespace may be called, and why.

The bounds come from the objects named after them later: DNS labels, and Kubernetes label values.
"""

import re

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
MAX_JOB_NAME_CHARS = 63
MAX_STUDENT_NAME_CHARS = 40
DEFAULT_NAMESPACE = "default"

_NAME = re.compile(NAME_PATTERN)


def is_legal_name(name: str, *, max_chars: int) -> bool:
    """Whether ``name`` is a DNS-1035 label of at most ``max_chars`` characters."""
    return len(name) <= max_chars and _NAME.match(name) is not None
