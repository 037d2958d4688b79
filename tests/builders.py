"""Builders of the things many tests need, each valid as it comes."""

import copy
from typing import Any

from distillery.spec.job import DistillationJob

MINIMAL_JOB: dict[str, Any] = {
    "apiVersion": "distillery.dev/v1alpha1",
    "kind": "DistillationJob",
    "metadata": {"name": "sums"},
    "spec": {
        "task": "MATH",
        "dataset": {
            split: {
                "uri": f"file:///data/{split}.jsonl",
                "fields": {"user": "question", "gold": "answer"},
            }
            for split in ("train", "validation", "test")
        },
        "teacher": {
            "model": {"uri": "file:///models/teacher"},
            "prompts": ["Vanilla", "ChainOfThought"],
            "sampling": {"temperature": 0, "topP": 1, "maxTokens": 256},
        },
        "students": [
            {
                "name": "small",
                "model": {"uri": "file:///models/student"},
                "method": {"type": "full"},
                "arms": ["Vanilla", "ChainOfThought"],
                "seeds": [0, 1],
            }
        ],
        "storage": {"uri": "file:///store"},
    },
}


def make_document(**changes: Any) -> dict[str, Any]:
    """A valid job as a document. ``changes`` are dotted paths below ``spec``, written with ``__``
    (``teacher__sampling__maxTokens=8``); a list's item is ``students__0``; ``...`` removes."""
    document = copy.deepcopy(MINIMAL_JOB)
    for path, value in changes.items():
        node: Any = document["spec"]
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        for part in parents:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return document


def make_job(**changes: Any) -> DistillationJob:
    """A valid job, with ``changes`` as in ``make_document``."""
    return DistillationJob.model_validate(make_document(**changes))
