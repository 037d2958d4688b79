"""DistillationJobs on a real API server: what it takes, and in which words it refuses."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import CustomObjectsApi
from kubernetes.client.exceptions import ApiException

from distillery.crd.definition import GROUP, PLURAL, VERSION

DEFINITION = Path(__file__).parents[3] / "manifests" / "crd" / f"{GROUP}_{PLURAL}.yaml"
_KIND = {"group": GROUP, "version": VERSION, "plural": PLURAL}
_AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request was refused: ``causes`` are field and message of each fault."""

    code: int
    message: str
    causes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The jobs of one namespace. ``strict``: unknown fields are refused, as kubectl asks for."""

    client: CustomObjectsApi
    namespace: str

    def create(self, document: Document, *, strict: bool = True, dry: bool = False) -> Document:
        """The job as it is stored; with ``dry`` nothing is."""
        return self.client.create_namespaced_custom_object(
            **_KIND,
            namespace=self.namespace,
            body=document,
            field_validation="Strict" if strict else "Ignore",
            **({"dry_run": "All"} if dry else {}),
        )

    def replace(self, document: Document, *, dry: bool = False) -> Document:
        return self.client.replace_namespaced_custom_object(
            **_KIND,
            namespace=self.namespace,
            name=document["metadata"]["name"],
            body=document,
            field_validation="Strict",
            **({"dry_run": "All"} if dry else {}),
        )

    def set_status(self, job: Document, status: Document) -> Document:
        """The job with that status, written as the controller writes it."""
        return self.client.replace_namespaced_custom_object_status(
            **_KIND,
            namespace=self.namespace,
            name=job["metadata"]["name"],
            body={**job, "status": status},
            field_validation="Strict",
        )

    def table(self) -> Document:
        """The jobs as ``kubectl get -o wide`` shows them."""
        return self.client.list_namespaced_custom_object(
            **_KIND, namespace=self.namespace, _headers={"Accept": _AS_TABLE}
        )

    def refusal_of_new(self, document: Document, *, strict: bool = True) -> Refusal | None:
        """Why the job can't be created; None where it can."""
        try:
            self.create(document, strict=strict, dry=True)
        except ApiException as error:
            return _read_refusal(error)
        return None

    def refusal_of_change(self, document: Document) -> Refusal | None:
        """Why the job can't be changed into ``document``; None where it can."""
        try:
            self.replace(document, dry=True)
        except ApiException as error:
            return _read_refusal(error)
        return None


def _read_refusal(error: ApiException) -> Refusal:
    body = json.loads(error.body)
    causes = body.get("details", {}).get("causes", ())
    return Refusal(
        code=body["code"],
        message=body["message"],
        causes=tuple((cause.get("field", ""), cause["message"]) for cause in causes),
    )
