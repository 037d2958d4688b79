"""Whether the CRD the API server serves is new enough: an older one drops fields without a word.

Looked at until it is; below ``MIN_REVISION`` the controller is not ready and doesn't lead.
"""

import logging
import threading

from controller.kube.api import ReadApi
from controller.kube.faults import ForbiddenError, NotFoundError
from controller.kube.resources import DISTILLATION_JOBS, Resource
from distillery.crd.definition import SCHEMA_REVISION_ANNOTATION
from distillery.errors import ExternalError, TransientError

_LOG = logging.getLogger(__name__)

MIN_REVISION = 1
LOOK_AGAIN_S = 5.0
CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
)
_NAME = f"{DISTILLATION_JOBS.plural}.{DISTILLATION_JOBS.group}"
_WAY_OUT = "apply manifests/crd with kubectl apply --server-side --force-conflicts"


class SchemaWatch:
    """Looks at the CRD's revision from a thread of its own; ``problem`` is what is wrong."""

    def __init__(self, api: ReadApi) -> None:
        self._api = api
        self.problem = "the CRD's revision isn't known yet"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schema", daemon=True)

    def start(self) -> None:
        """Looks until the CRD is new enough."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopping.set()

    def look(self) -> str:
        """What is wrong now; empty: nothing."""
        try:
            found = self._api.fetch(CRDS, namespace="", name=_NAME)
        except NotFoundError:
            return f"the CRD {_NAME} is not installed; {_WAY_OUT}"
        except ForbiddenError:
            _LOG.warning("may not read the CRD, its revision is not checked crd=%s", _NAME)
            return ""
        except (ExternalError, TransientError) as error:
            return error.message
        annotations = found["metadata"].get("annotations") or {}
        text = annotations.get(SCHEMA_REVISION_ANNOTATION, "0")
        if not text.isdecimal() or int(text) < MIN_REVISION:
            return (
                f"the CRD {_NAME} is too old, got revision {text} and {MIN_REVISION} is needed; "
                f"{_WAY_OUT}"
            )
        return ""

    def _run(self) -> None:
        told = ""
        while not self._stopping.is_set():
            self.problem = self.look()
            if not self.problem:
                return
            if self.problem != told:
                _LOG.warning("not ready: %s", self.problem)
                told = self.problem
            self._stopping.wait(LOOK_AGAIN_S)
