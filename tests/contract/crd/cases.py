"""For each rule of the CRD a job it accepts and one it refuses, and what it says then.

Used on a real API server, and without one to hold the words against ``distillery.validation``.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.builders import make_document

CLUSTER = "http://ray.example:8265"
HUB = {"name": "hub", "kind": "HuggingFace", "secretRef": {"name": "hub"}}
BUCKET = {"name": "bucket", "kind": "S3", "secretRef": {"name": "bucket"}}


@dataclass(frozen=True, kw_only=True)
class Case:
    """``accepted`` and ``refused``: changes to a valid job, as ``make_document`` takes them.
    ``is_validated``: whether ``distillery validate`` refuses it in the same words."""

    id: str
    accepted: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, Any]
    want_field: str
    want_message: str
    is_validated: bool = True


def accepted_job(case: Case) -> dict[str, Any]:
    """The job the rule accepts."""
    return make_document(**case.accepted)


def refused_job(case: Case) -> dict[str, Any]:
    """The job the rule refuses."""
    return make_document(**case.refused)


def _union_case(
    where: str, field_name: str, value: object, owner: str, other: dict[str, Any]
) -> Case:
    """A field given with the type that has it, and with ``other``, which has not."""
    changes = where.replace("[0]", ".0").replace(".", "__")
    needed = {"sizeGib": 8} if owner == "ephemeral" else {}
    given = {field_name: value}
    return Case(
        id=f"{where}.{field_name} is for {owner}",
        accepted={changes: {"type": owner, **needed, **given}},
        refused={changes: {**other, **given}},
        want_field=f"spec.{where}.{field_name}",
        want_message=f"is for type {owner} only, got type {other['type']}; remove it",
        is_validated=False,
    )


def _missing_case(kind: str, name: str, value: object) -> Case:
    return Case(
        id=f"{kind} needs {name}",
        accepted={"runtime__modelCache": {"type": kind, name: value}},
        refused={"runtime__modelCache": {"type": kind}},
        want_field=f"spec.runtime.modelCache.{name}",
        want_message=f"is missing and type {kind} needs it, got none; add it",
        is_validated=False,
    )


_VLLM: dict[str, object] = {
    "tensorParallel": 1,
    "pipelineParallel": 1,
    "maxNumSeqs": 8,
    "kvCacheGib": 0.5,
    "gpuMemoryUtilization": 0.5,
    "enforceEager": True,
    "structuredOutputs": False,
}
_LORA: dict[str, object] = {"rank": 4, "alpha": 8, "dropout": 0.1, "targetModules": ["q_proj"]}
_PODS_ONLY: dict[str, object] = {
    "image": "registry.example/ray:1",
    "profile": "rdma",
    "serviceAccountName": "trainer",
    "queueName": "gpus",
    "priorityClassName": "low",
    "modelCache": {"type": "claim", "claimName": "models"},
}

UNION_CASES = (
    *(
        _union_case(f"{place}.engine", name, value, "vllm", {"type": "transformers"})
        for place in ("teacher", "evaluation")
        for name, value in _VLLM.items()
    ),
    *(
        _union_case(f"{place}.engine", "batchSize", 4, "transformers", {"type": "vllm"})
        for place in ("teacher", "evaluation")
    ),
    *(
        _union_case("students[0].method", name, value, "lora", {"type": "full"})
        for name, value in _LORA.items()
    ),
    _union_case(
        "runtime.modelCache", "claimName", "models", "claim", {"type": "ephemeral", "sizeGib": 8}
    ),
    *(
        _union_case(
            "runtime.modelCache", name, value, "ephemeral", {"type": "claim", "claimName": "models"}
        )
        for name, value in (("sizeGib", 8), ("storageClassName", "fast"))
    ),
    _missing_case("claim", "claimName", "models"),
    _missing_case("ephemeral", "sizeGib", 8),
)

OBJECT_CASES = (
    Case(
        id="credentials go to no other's cluster",
        accepted={"credentials": [BUCKET]},
        refused={"credentials": [BUCKET], "runtime": {"rayAddress": CLUSTER}},
        want_field="spec.credentials",
        want_message="can't be handed to another's Ray cluster, got rayAddress besides; storage "
        "credentials must be on that cluster already, remove them here",
    ),
    Case(
        id="one hub token",
        accepted={"credentials": [HUB, BUCKET]},
        refused={"credentials": [HUB, {**HUB, "name": "hub-2"}]},
        want_field="spec.credentials",
        want_message="a process has one hub token, got a second HuggingFace credential; remove it",
    ),
    Case(
        id="top k of none",
        accepted={"teacher__sampling__topK": -1},
        refused={"teacher__sampling__topK": 0},
        want_field="spec.teacher.sampling.topK",
        want_message="must be -1 (all) or 1 and more, got 0",
    ),
    Case(
        id="greedy samples",
        accepted={
            "teacher__sampling__samplesPerPrompt": 2,
            "teacher__sampling__temperature": 0.5,
        },
        refused={"teacher__sampling__samplesPerPrompt": 2, "teacher__sampling__temperature": 0},
        want_field="spec.teacher.sampling.samplesPerPrompt",
        want_message="greedy answers are all the same, got 2 at temperature 0; use 1, or a "
        "temperature above 0",
    ),
    Case(
        id="base is no arm to train",
        refused={"students__0__arms": ["Vanilla", "Base"]},
        want_field="spec.students[0].arms",
        want_message="Base is the untrained student and always evaluated, got Base; remove it",
    ),
    Case(
        id="gold has no reasons",
        accepted={"students__0__arms": ["Vanilla"], "students__0__target": "ReasonThenAnswer"},
        refused={"students__0__arms": ["Gold"], "students__0__target": "ReasonThenAnswer"},
        want_field="spec.students[0].arms",
        want_message="ground truth has no reasoning to train on, got Gold with ReasonThenAnswer; "
        "remove it",
    ),
    Case(
        id="batches that divide",
        accepted={"students__0__workers": {"replicas": 4}},
        refused={"students__0__workers": {"replicas": 3}},
        want_field="spec.students[0].training.batchSize",
        want_message="must be workers (3) x microBatchSize (8) x a whole number, got 32; "
        "change one of them",
    ),
    Case(
        id="batches of whole micro-batches",
        accepted={"students__0__training": {"batchSize": 24}},
        refused={"students__0__training": {"batchSize": 12}},
        want_field="spec.students[0].training.batchSize",
        want_message="must be workers (1) x microBatchSize (8) x a whole number, got 12; "
        "change one of them",
    ),
    Case(
        id="warm-up shorter than training",
        accepted={"students__0__training": {"maxSteps": 10, "warmupSteps": 9}},
        refused={"students__0__training": {"maxSteps": 10, "warmupSteps": 10}},
        want_field="spec.students[0].training.warmupSteps",
        want_message="must be below maxSteps (10), got 10",
    ),
    Case(
        id="where a cosine ends",
        accepted={"students__0__training": {"minLearningRateRatio": 0.1}},
        refused={"students__0__training": {"minLearningRateRatio": 0.1, "scheduler": "linear"}},
        want_field="spec.students[0].training.minLearningRateRatio",
        want_message="is for the cosine scheduler only, got linear; remove it",
    ),
    Case(
        id="one engine evaluates",
        accepted={"evaluation__engine": {"type": "vllm", "replicas": 1}},
        refused={"evaluation__engine": {"type": "vllm", "replicas": 2}},
        want_field="spec.evaluation.engine.replicas",
        want_message="must be 1, evaluation runs one engine a model, got 2; remove it",
    ),
    Case(
        id="students speak freely",
        accepted={"teacher__engine": {"type": "vllm", "structuredOutputs": True}},
        refused={"evaluation__engine": {"type": "vllm", "structuredOutputs": True}},
        want_field="spec.evaluation.engine.structuredOutputs",
        want_message="is for the teacher: students are judged by what they say, got true; "
        "remove it",
    ),
    Case(
        id="promotion over another arm",
        accepted={"evaluation__promoteIf": {"arm": "ChainOfThought", "beats": "Vanilla"}},
        refused={"evaluation__promoteIf": {"arm": "Vanilla", "beats": "Vanilla"}},
        want_field="spec.evaluation.promoteIf.arm",
        want_message="must be a trained arm other than beats (Vanilla), got Vanilla",
    ),
    Case(
        id="promotion of a trained arm",
        accepted={"evaluation__promoteIf": {"arm": "Vanilla"}},
        refused={"evaluation__promoteIf": {"arm": "Base", "beats": "Vanilla"}},
        want_field="spec.evaluation.promoteIf.arm",
        want_message="must be a trained arm other than beats (Vanilla), got Base",
    ),
    Case(
        id="a token for no cluster",
        accepted={"runtime": {"rayAddress": CLUSTER, "rayTokenSecretRef": {"name": "ray"}}},
        refused={"runtime": {"rayTokenSecretRef": {"name": "ray"}}},
        want_field="spec.runtime.rayTokenSecretRef",
        want_message="is for spec.runtime.rayAddress only, got a Secret; remove it",
    ),
    *(
        Case(
            id=f"{name} on another's cluster",
            accepted={"runtime": {name: value}},
            refused={"runtime": {name: value, "rayAddress": CLUSTER}},
            want_field=f"spec.runtime.{name}",
            want_message="is for pods of the job's own, got rayAddress besides; remove one of the "
            "two",
        )
        for name, value in _PODS_ONLY.items()
    ),
)

ALL_CASES = (*UNION_CASES, *OBJECT_CASES)

CHANGES: dict[str, dict[str, Any]] = {
    "spec.task": {"task": "NLU_QA"},
    "spec.dataset": {"dataset__train__maxRows": 100},
    "spec.prompts": {"prompts__maxReasonWords": 40},
    "spec.teacher.model": {"teacher__model__uri": "file:///models/other"},
    "spec.teacher.engine": {"teacher__engine": {"type": "transformers"}},
    "spec.teacher.prompts": {"teacher__prompts": ["Vanilla"]},
    "spec.teacher.sampling": {"teacher__sampling__seed": 1},
    "spec.students": {"students__0__training": {"epochs": 1}},
    "spec.evaluation.engine": {"evaluation__engine": {"type": "transformers"}},
    "spec.evaluation.maxTokens": {"evaluation__maxTokens": 16},
    "spec.storage": {"storage__uri": "file:///elsewhere"},
    "spec.failurePolicy": {"failurePolicy": "FailFast"},
    "spec.credentials": {"credentials": [HUB]},
}
"""A change of each field that is fixed once the job has started."""

ALLOWED_CHANGES: dict[str, dict[str, Any]] = {
    "spec.suspend": {"suspend": True},
    "spec.retries": {"retries": {"maxAttempts": 5}},
    "spec.runtime": {"runtime": {"stallSeconds": 600, "rayAddress": CLUSTER}},
    "spec.ttlSecondsAfterFinished": {"ttlSecondsAfterFinished": 60},
    "spec.teacher.minSuccessRatio": {"teacher__minSuccessRatio": 0.5},
    "spec.evaluation.promoteIf": {"evaluation__promoteIf": {"arm": "Vanilla"}},
}
"""A change of each field that is not."""

FIXED_MESSAGE = (
    "is fixed once the job has started, got another value; delete the job and apply the new one, "
    "steps it doesn't change are found finished"
)
