"""KubeRay played by a test's own hand: one RayJob at a time is moved to where the test wants it."""

import json
from typing import Any

from controller.kube.api import Json
from controller.kube.resources import CONFIG_MAPS, PODS, RAY_JOBS
from controller.launchers.kuberay.labels import ATTEMPT, STEP
from distillery.progress import Outcome, OutcomeState, Progress, StepRecord
from tests.attempts import make_outcome, make_verdict
from tests.builders import make_job
from tests.doubles.api_server import ApiServer


class HandKubeRay:
    """Sets statuses of RayJobs and progress records, as KubeRay and the pods would."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def run(self, child: Json, progress: Progress | None = None) -> None:
        """The RayJob's driver runs."""
        self.set_status(child, jobDeploymentStatus="Running", jobStatus="RUNNING")
        if progress is not None:
            self.report(child, progress=progress)

    def add_head(self, child: Json) -> None:
        """A head pod that runs."""
        metadata = child["metadata"]
        name = f"{metadata['name']}-head"
        labels = {**metadata["labels"], "ray.io/node-type": "head"}
        self._server.create(
            PODS,
            {
                "metadata": {
                    "name": name,
                    "namespace": metadata["namespace"],
                    "labels": labels,
                    "ownerReferences": [
                        {
                            "apiVersion": RAY_JOBS.api_version,
                            "kind": RAY_JOBS.kind,
                            "name": metadata["name"],
                            "uid": metadata["uid"],
                        }
                    ],
                },
                "spec": {"containers": [{"name": "ray-head"}]},
            },
        )
        self._server.merge(
            PODS,
            namespace=metadata["namespace"],
            name=name,
            patch={"status": {"phase": "Running"}},
            subresource="status",
        )

    def succeed(
        self,
        child: Json,
        *,
        finished: tuple[str, ...] = (),
        summary: dict[str, Any] | None = None,
    ) -> None:
        """The step has done what it should, and its RayJob is complete."""
        step = child["metadata"]["labels"][STEP]
        summary = summary or {}
        if step == "prepare":
            summary = make_verdict(make_job(), finished=finished).dump() | summary
        self.report(child, outcome=make_outcome(step, summary=summary))
        self.set_status(child, jobDeploymentStatus="Complete", jobStatus="SUCCEEDED")

    def fail(self, child: Json, *, retriable: bool, reason: str = "Broken") -> None:
        """The step has failed by its own word."""
        outcome = Outcome(
            state=OutcomeState.FAILED, reason=reason, message="it broke", retriable=retriable
        )
        self.report(child, outcome=outcome)
        self.set_status(child, jobDeploymentStatus="Failed", jobStatus="FAILED")

    def report(
        self, child: Json, *, progress: Progress | None = None, outcome: Outcome | None = None
    ) -> None:
        """What the driver writes to the job's ConfigMap."""
        metadata = child["metadata"]
        record = StepRecord(
            attempt=int(metadata["labels"][ATTEMPT]),
            submission_id=metadata["name"],
            progress=progress,
            outcome=outcome,
        )
        job = metadata["ownerReferences"][0]["name"]
        self._server.merge(
            CONFIG_MAPS,
            namespace=metadata["namespace"],
            name=f"{job}-progress",
            patch={"data": {metadata["labels"][STEP]: json.dumps(record.dump())}},
        )

    def set_status(self, child: Json, **status: Any) -> None:
        """What KubeRay writes to the RayJob."""
        metadata = child["metadata"]
        self._server.merge(
            RAY_JOBS,
            namespace=metadata["namespace"],
            name=metadata["name"],
            patch={"status": {"jobId": metadata["name"], **status}},
            subresource="status",
        )
