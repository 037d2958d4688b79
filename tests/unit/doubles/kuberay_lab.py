"""A laboratory for the double of KubeRay: an API server in memory, and a clock that only it moves."""

import json
from collections.abc import Callable
from typing import Any

from controller.kube.api import Json
from controller.kube.resources import CONFIG_MAPS, PODS, RAY_JOBS, Resource
from distillery.progress import StepRecord
from tests.doubles.api_server import START_S, ApiServer
from tests.doubles.kuberay.behaviour import Script, Timing
from tests.doubles.kuberay.operator import KubeRayDouble

NAME = "sums-train-0a1b2c3d-1"
STEP_S = 1.0


def make_container(name: str, **variables: str) -> Json:
    """A container."""
    env = [{"name": key, "value": value} for key, value in variables.items()]
    return {"name": name, "image": "distillery:1", "env": env}


def make_ray_job(name: str = NAME, *, workers: int = 0, **spec: Any) -> Json:
    """A RayJob in the form of ours."""
    driver = {
        "DISTILLERY_PROGRESS_CONFIG_MAP": "sums-progress",
        "DISTILLERY_NAMESPACE": "default",
        "DISTILLERY_STEP": "train-small",
        "DISTILLERY_ATTEMPT": "1",
        "DISTILLERY_SUBMISSION_ID": name,
    }
    labels = {"distillery.dev/job": "sums", "distillery.dev/attempt": "1"}
    group = {
        "groupName": "trainers",
        "replicas": workers,
        "minReplicas": workers,
        "maxReplicas": workers,
        "rayStartParams": {"num-gpus": "8"},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"restartPolicy": "Never", "containers": [make_container("ray-worker")]},
        },
    }
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": labels,
            "annotations": {"ray.io/disable-provisioned-head-restart": "true"},
        },
        "spec": {
            "submissionMode": "K8sJobMode",
            "jobId": name,
            "entrypoint": "exec python -m ray_jobs.train",
            "backoffLimit": 0,
            "submitterConfig": {"backoffLimit": 2},
            "submitterPodTemplate": {
                "metadata": {"labels": labels},
                "spec": {"restartPolicy": "Never", "containers": [make_container("submitter")]},
            },
            "shutdownAfterJobFinishes": True,
            "activeDeadlineSeconds": 7200,
            "preRunningDeadlineSeconds": 150,
            "rayClusterSpec": {
                "rayVersion": "2.60.0",
                "authOptions": {"mode": "token"},
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "restartPolicy": "Never",
                            "containers": [make_container("ray-head", **driver)],
                        },
                    },
                },
                "workerGroupSpecs": [group] if workers else [],
            },
            **spec,
        },
    }


class Lab:
    """An API server, the double, and a clock that only this moves."""

    def __init__(self, script: Script | Callable[[Json], Script], **options: Any) -> None:
        self.now_s = START_S
        self.server = ApiServer(now_s=lambda: self.now_s)
        self.double = KubeRayDouble(
            self.server,
            behave=script if callable(script) else lambda ray_job: script,
            collect_garbage=self.server.collect_garbage,
            **options,
        )
        self.seen: list[tuple[str, str]] = []
        body = {"metadata": {"name": "sums-progress", "namespace": "default"}}
        self.server.create(CONFIG_MAPS, body)

    def apply(self, ray_job: Json) -> None:
        """Creates a RayJob."""
        self.server.create(RAY_JOBS, ray_job)

    def step(self, num: int = 1) -> None:
        """Some seconds go by."""
        for _ in range(num):
            self.double.step(self.now_s)
            self.now_s += STEP_S
            for ray_job in self.server.objects(RAY_JOBS):
                status = ray_job.get("status") or {}
                state = (status.get("jobDeploymentStatus", ""), status.get("jobStatus", ""))
                if not self.seen or self.seen[-1] != state:
                    self.seen.append(state)

    def until(self, holds: Callable[[], bool], *, at_most_s: float = 600.0) -> float:
        """Steps until it holds; returns the seconds it took."""
        start_s = self.now_s
        while not holds():
            assert self.now_s - start_s < at_most_s, self.seen
            self.step()
        return self.now_s - start_s

    def status(self) -> Json:
        """The RayJob's status."""
        found = [each for each in self.server.objects(RAY_JOBS) if each["metadata"]["name"] == NAME]
        status: Json = found[0].get("status", {})
        return status

    def is_at(self, deployment_status: str, job_status: str = "") -> Callable[[], bool]:
        """Whether the RayJob is so far."""

        def holds() -> bool:
            status = self.status()
            found = status.get("jobDeploymentStatus", "")
            return found == deployment_status and (
                not job_status or status.get("jobStatus") == job_status
            )

        return holds

    def pods(self, node_type: str = "") -> list[Json]:
        """The pods, of a type or all."""
        pods = self.server.objects(PODS)
        return [
            pod
            for pod in pods
            if not node_type or pod["metadata"]["labels"].get("ray.io/node-type") == node_type
        ]

    def names(self, resource: Resource) -> list[str]:
        """The names of all objects of a kind."""
        return [each["metadata"]["name"] for each in self.server.objects(resource)]

    def record(self) -> StepRecord | None:
        """What the step wrote last."""
        config_map = self.server.fetch(CONFIG_MAPS, namespace="default", name="sums-progress")
        text = config_map.get("data", {}).get("train-small")
        return StepRecord.model_validate(json.loads(text)) if text else None


def make_lab(script: Script, *, workers: int = 0, timing: Timing | None = None, **spec: Any) -> Lab:
    """A lab with one RayJob."""
    lab = Lab(script, timing=timing)
    lab.apply(make_ray_job(workers=workers, **spec))
    return lab
