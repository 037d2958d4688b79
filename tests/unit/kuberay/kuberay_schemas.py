"""KubeRay's true CRDs, where they are at hand, as schemas that know every field.

``DISTILLERY_KUBERAY_CRDS`` names their folder. The API server drops unknown fields of structural
schemas without a word; here they are refused, so a misspelt one is found.
"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

_DEFAULT = Path(__file__).parents[4] / "shared" / "data" / "kuberay"


def crd_folder() -> Path:
    """The folder; skips the test where there is none."""
    folder = Path(os.environ.get("DISTILLERY_KUBERAY_CRDS", _DEFAULT))
    if not (folder / "ray.io_rayjobs.yaml").exists():
        pytest.skip("needs KubeRay's CRDs: set DISTILLERY_KUBERAY_CRDS to their folder")
    return folder


def ray_job_schema() -> dict[str, Any]:
    """The JSON schema of a RayJob v1."""
    crd = yaml.safe_load((crd_folder() / "ray.io_rayjobs.yaml").read_text("utf-8"))
    version = next(each for each in crd["spec"]["versions"] if each["name"] == "v1")
    schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    del schema["properties"]["metadata"]
    _refuse_unknown(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return dict(schema)


def _refuse_unknown(schema: dict[str, Any]) -> None:
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for child in schema.get("properties", {}).values():
        _refuse_unknown(child)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _refuse_unknown(schema[key])
