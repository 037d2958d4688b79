"""The RayJob that ``golden/train.yaml`` keeps, to be read by people.

``python -m tests.unit.kuberay.golden_ray_job`` writes the file anew: look at the difference.
"""

from pathlib import Path
from typing import Any

import yaml

from controller.launchers.kuberay.installation import Installation, RuntimeProfile
from controller.launchers.kuberay.rayjob import build_ray_job
from distillery.steps import train_step
from tests.unit.kuberay.launches import IMAGE, make_cluster_job, make_launch

GOLDEN = Path(__file__).parent / "golden" / "train.yaml"
_HEAD = (
    "# Training on GPUs with all that a job may ask for. Written by\n"
    "# `python -m tests.unit.kuberay.golden_ray_job`; don't edit.\n"
)
_CHANGES: dict[str, Any] = {
    "credentials": [
        {"name": "bucket", "kind": "S3", "secretRef": {"name": "s3"}},
        {"name": "hub", "kind": "HuggingFace", "secretRef": {"name": "hf"}},
    ],
    "storage": {
        "uri": "s3://models/distillery",
        "endpointUrl": "https://s3.example.com:9000",
        "region": "eu-1",
        "credentialsRef": "bucket",
    },
    "students__0__model": {"uri": "hf://org/student", "credentialsRef": "hub"},
    "students__0__workers": {"replicas": 4, "gpus": 8},
    "runtime": {
        "queueName": "gpus",
        "priorityClassName": "high",
        "profile": "rdma",
        "scratchGib": 200,
        "modelCache": {"type": "claim", "claimName": "models"},
        "workers": {
            "spec": {
                "nodeSelector": {"gpu": "h100"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "containers": [
                    {
                        "name": "ray-worker",
                        "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
                        "resources": {
                            "requests": {"memory": "512Gi"},
                            "limits": {"memory": "512Gi"},
                        },
                    }
                ],
            }
        },
    },
}
_PROFILE = RuntimeProfile(
    workers={
        "spec": {
            "containers": [
                {
                    "name": "ray-worker",
                    "resources": {"requests": {"rdma/hca": 1}, "limits": {"rdma/hca": 1}},
                    "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
                }
            ]
        }
    }
)


def golden_text() -> str:
    """The file's content as it should be."""
    launch = make_launch(make_cluster_job(**_CHANGES), train_step("small"), number=3, run=2)
    installation = Installation(image=IMAGE, profiles={"rdma": _PROFILE})
    return _HEAD + yaml.safe_dump(build_ray_job(launch, installation), sort_keys=False, width=100)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(golden_text(), "utf-8")
