"""The job in a cluster that a verb speaks of, and the way to it.

The verbs are ``cluster.py`` and ``cluster_logs.py``; the way to the server is
``controller.kube.connecting``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TextIO

from controller.jobs.views import JobView, read_job
from controller.kube.api import KubeApi
from controller.kube.faults import NotFoundError
from controller.kube.resources import DISTILLATION_JOBS
from distillery.errors import SpecError, word


class ClusterApi(KubeApi, Protocol):
    """What the verbs need besides objects."""

    def stream_log(
        self, *, namespace: str, pod: str, container: str, follow: bool
    ) -> Iterator[bytes]:
        """A container's log, piece by piece."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClusterTarget:
    """The job spoken of, where it is, and where to write."""

    api: ClusterApi
    namespace: str
    name: str
    out: TextIO

    def fetch(self) -> JobView:
        """The job as it is now. Raises ``SpecError`` where there is none."""
        try:
            raw = self.api.fetch(DISTILLATION_JOBS, namespace=self.namespace, name=self.name)
        except NotFoundError as error:
            raise self._missing() from error
        return read_job(raw)

    def command(self, verb: str) -> str:
        """What to type for another verb on the same job."""
        return f"distillery {verb} {self.name} -n {self.namespace}"

    def say(self, line: str) -> None:
        """Writes a line."""
        self.out.write(line + "\n")

    def _missing(self) -> SpecError:
        problem = (
            "there is no such DistillationJob; see kubectl get dj --all-namespaces, and name its "
            "namespace with -n"
        )
        return SpecError(word(f"{self.namespace}/{self.name}", problem), reason="JobMissing")
