"""Jobs on an API server in memory, and the command's verbs on them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from controller.cli.main import main
from controller.kube.api import Json
from controller.kube.resources import DISTILLATION_JOBS, PODS
from distillery.conditions import ConditionStatus, ConditionType
from tests.builders import make_document
from tests.doubles.api_server import ApiServer
from tests.doubles.clock import VirtualClock

NAMESPACE = "default"
TIME = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the command did."""

    code: int
    out: str
    err: str = ""


class LogServer(ApiServer):
    """An API server whose containers have logs: pod name to pieces, or to what is raised."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(now_s=clock.now, clock=clock)
        self.logs: dict[str, list[bytes | BaseException]] = {}
        self.asked: list[tuple[str, str, str, bool]] = []

    def stream_log(
        self, *, namespace: str, pod: str, container: str, follow: bool
    ) -> Iterator[bytes]:
        self.asked.append((namespace, pod, container, follow))
        for piece in self.logs[pod]:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


@dataclass(frozen=True, kw_only=True)
class World:
    """The server, and the kubeconfigs and contexts that the command connected with."""

    clock: VirtualClock
    server: LogServer
    connected: list[tuple[str | None, str | None]] = field(default_factory=list)

    def run(self, *arguments: str, out: Any = None) -> Said:
        """Runs the command."""
        written, err = out or io.StringIO(), io.StringIO()
        code = main(arguments, out=written, err=err, connect=self._connect)
        text = written.getvalue() if isinstance(written, io.StringIO) else ""
        return Said(code=code, out=text, err=err.getvalue())

    def refusal(self, *arguments: str) -> tuple[int, str]:
        """Exit code and message of a command that prints nothing else."""
        said = self.run(*arguments)
        assert said.out == ""
        return said.code, said.err.rstrip("\n")

    def apply(
        self, *, status: Json | None = None, finalizers: tuple[str, ...] = (), **spec: Any
    ) -> Json:
        """Creates the job; its status is as if the controller had seen this very generation."""
        document = make_document(storage={"uri": "s3://bucket/store/"}, **spec)
        document["metadata"] |= {"namespace": NAMESPACE, "finalizers": list(finalizers)}
        created = self.server.create(DISTILLATION_JOBS, document)
        return created if status is None else self.set_status(**status)

    def set_status(self, **fields: Any) -> Json:
        """Writes the job's status as the controller does."""
        return self.server.merge(
            DISTILLATION_JOBS,
            namespace=NAMESPACE,
            name="sums",
            patch={"status": {"observedGeneration": 1, **fields}},
            subresource="status",
        )

    def add_pod(
        self,
        name: str,
        *,
        ray_job: str,
        log: list[bytes | BaseException],
        phase: str = "Running",
    ) -> None:
        """Creates a submitter's pod."""
        labels = {"job-name": ray_job}
        self.server.create(
            PODS,
            {
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
                "spec": {"containers": [{"name": "submitter", "image": "i"}]},
            },
        )
        self.server.merge(
            PODS,
            namespace=NAMESPACE,
            name=name,
            patch={"status": {"phase": phase}},
            subresource="status",
        )
        self.server.logs[name] = log

    def job(self) -> Json:
        """The job as the server has it."""
        return self.server.fetch(DISTILLATION_JOBS, namespace=NAMESPACE, name="sums")

    def _connect(self, kubeconfig: str | None, context: str | None) -> tuple[LogServer, str]:
        self.connected.append((kubeconfig, context))
        return self.server, NAMESPACE


def make_world() -> World:
    """An empty server, on which an operator may work too."""
    clock = VirtualClock(start=1_800_000_000.0)
    return World(clock=clock, server=LogServer(clock))


def make_condition(
    kind: ConditionType, status: ConditionStatus, reason: str = "Because", message: str = ""
) -> Json:
    """A condition."""
    return {
        "type": kind.value,
        "status": status.value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": TIME,
    }


def accepted(*others: Json) -> list[Json]:
    """The conditions of an accepted job, and others."""
    return [make_condition(ConditionType.ACCEPTED, ConditionStatus.TRUE, "Valid"), *others]


def finished(*, succeeded: bool, message: str = "") -> list[Json]:
    """The conditions of a job that is over."""
    status = ConditionStatus.TRUE if succeeded else ConditionStatus.FALSE
    return accepted(
        make_condition(ConditionType.SUCCEEDED, status, "BadRows", message),
        make_condition(ConditionType.FINISHED, ConditionStatus.TRUE, "Done"),
    )


def make_stage(stage: str, state: str, **fields: Any) -> Json:
    """An entry of ``status.stages``: the first attempt's, of run 1."""
    step = f"{stage}-{fields['student']}" if "student" in fields else stage
    return {
        "stage": stage,
        "state": state,
        "attempt": 1,
        "run": 1,
        "rayJobName": f"sums-{step}-1",
        **fields,
    }


RUNNING_TRAIN = make_stage("train", "Running", student="small")
