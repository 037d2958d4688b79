"""The CustomResourceDefinition of DistillationJob, whole and as text."""

import json
from typing import Any

import yaml

from distillery.crd.immutability import attach_immutability
from distillery.crd.places import Schema, find_place
from distillery.crd.rules import attach_object_rules
from distillery.crd.structural import build_structural, remove_defaults
from distillery.spec.job import API_VERSION, KIND, JobSpec
from distillery.status import JobStatus

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "distillationjobs"
SCHEMA_REVISION_ANNOTATION = "distillery.dev/schema-revision"
SCHEMA_REVISION = 1
"""Grows with each change of the schema; a controller refuses to work with one below its own."""

# How lists are merged by the API server, and that no two items are alike: by the key of their
# items, or by their values where the key is empty. All other lists are replaced whole.
LIST_KEYS = {
    "spec.students": "name",
    "spec.credentials": "name",
    "status.conditions": "type",
    "spec.teacher.prompts": "",
    "spec.students[].arms": "",
    "spec.students[].seeds": "",
}

_HEADER = """\
# Generated from the models in distillery/spec/ and distillery/status.py by `make generated`; don't
# edit.
"""
_COLUMNS = (
    ("Stage", ".status.summary.stage", "The stage that runs"),
    (
        "Succeeded",
        '.status.conditions[?(@.type=="Succeeded")].status',
        "Whether all that was asked for is there; empty until the end is known",
    ),
    ("Progress", ".status.summary.progress", "How far that stage is"),
    ("Teacher", ".status.summary.teacher", "The model that answers"),
    ("Students", ".status.summary.students", "Students evaluated, of all"),
)
_WIDE_COLUMNS = (
    ("RayJob", ".status.summary.rayJob", "The latest attempt's RayJob"),
    ("Message", ".status.summary.message", "What is wrong, or what is waited for"),
)


def render_definition() -> str:
    """The definition as YAML, the same each time."""
    # Written and read again so that no two places are the same object, which YAML would link.
    plain = json.loads(json.dumps(build_definition()))
    return _HEADER + yaml.safe_dump(plain, sort_keys=False, width=100, allow_unicode=True)


def build_definition() -> Schema:
    """The definition as the API server takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "annotations": {SCHEMA_REVISION_ANNOTATION: str(SCHEMA_REVISION)},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["dj"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _build_columns(),
                    "schema": {"openAPIV3Schema": build_schema()},
                }
            ],
        },
    }


def build_schema() -> Schema:
    """The schema of one DistillationJob, its rules in it."""
    spec, status = build_structural(JobSpec), build_structural(JobStatus)
    # The installation has the last word on how pods run, so nothing is filled in before it. What
    # the controller writes must be read back as it was written.
    remove_defaults(spec["properties"]["runtime"])
    remove_defaults(status)
    schema: Schema = {
        "description": "One distillation: this teacher into these students, for this task.",
        "type": "object",
        "properties": {
            "apiVersion": {"description": f"Always `{API_VERSION}`.", "type": "string"},
            "kind": {"description": f"Always `{KIND}`.", "type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"description": "The job's name.", "type": "string"}},
            },
            "spec": {**spec, "description": "What is wanted."},
            "status": {**status, "description": "What is; written by the controller."},
        },
        "required": ["spec"],
    }
    for path, key in LIST_KEYS.items():
        _set_list_type(find_place(schema, path), key)
    attach_object_rules(schema)
    attach_immutability(schema)
    return schema


def _set_list_type(schema: Schema, key: str) -> None:
    schema["x-kubernetes-list-type"] = "map" if key else "set"
    if key:
        schema["x-kubernetes-list-map-keys"] = [key]


def _build_columns() -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = [
        {"name": name, "type": "string", "jsonPath": path, "description": description}
        for name, path, description in _COLUMNS
    ]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    columns += [
        {"name": name, "type": "string", "jsonPath": path, "description": text, "priority": 1}
        for name, path, text in _WIDE_COLUMNS
    ]
    return columns
