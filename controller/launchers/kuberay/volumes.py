"""The volumes of a step's pods and where they are mounted.

The scratch disk holds everything that is written: the root file system may be read-only. Its
parts ``ray`` and ``tmp`` are mounted where Ray and Python look for them.
"""

from controller.kube.api import Json
from controller.launchers.kuberay.credentials import credentials_of, credentials_volume
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.places import (
    API_ACCESS_DIR,
    CREDENTIALS_DIR,
    MODEL_CACHE_DIR,
    RAY_DIR,
    SCRATCH_DIR,
    SHM_DIR,
    TMP_DIR,
)
from distillery.spec.runtime import ClaimCache, EphemeralCache

SCRATCH = "scratch"
SHM = "shared-memory"
MODEL_CACHE = "model-cache"
CREDENTIALS = "credentials"
API_ACCESS = "api-access"
OUR_VOLUMES = frozenset({SCRATCH, SHM, MODEL_CACHE, CREDENTIALS, API_ACCESS})
OUR_DIRS = (SCRATCH_DIR, TMP_DIR, RAY_DIR, SHM_DIR, CREDENTIALS_DIR, API_ACCESS_DIR)
"""Mount points of every job; ``MODEL_CACHE_DIR`` is ours only where the job has a model cache."""
SECRET_DIRS = (CREDENTIALS_DIR, API_ACCESS_DIR)

_TOKEN_S = 3607
"""An hour, and what marks a token as bound to its pod."""


def pod_volumes(launch: Launch, *, has_api_access: bool) -> list[Json]:
    """The volumes of a Ray pod. The size of shared memory is set later, by the memory limit."""
    runtime = launch.job.spec.runtime
    volumes: list[Json] = [
        {"name": SCRATCH, "emptyDir": {"sizeLimit": f"{runtime.scratch_gib}Gi"}},
        {"name": SHM, "emptyDir": {"medium": "Memory"}},
    ]
    if runtime.model_cache is not None:
        volumes.append({"name": MODEL_CACHE, **_cache_source(runtime.model_cache)})
    if credentials := credentials_of(launch.step, launch.job.spec):
        volumes.append({"name": CREDENTIALS, **credentials_volume(credentials)})
    if has_api_access:
        volumes.append({"name": API_ACCESS, **_api_access()})
    return volumes


def ray_mounts(launch: Launch, *, has_api_access: bool) -> list[Json]:
    """The Ray container's mounts, parents first."""
    mounts: list[Json] = [
        {"name": SCRATCH, "mountPath": SCRATCH_DIR},
        {"name": SCRATCH, "mountPath": TMP_DIR, "subPath": "tmp"},
        {"name": SCRATCH, "mountPath": RAY_DIR, "subPath": "ray"},
        {"name": SHM, "mountPath": SHM_DIR},
    ]
    if launch.job.spec.runtime.model_cache is not None:
        mounts.append({"name": MODEL_CACHE, "mountPath": MODEL_CACHE_DIR})
    mounts += _credentials_mount(launch)
    if has_api_access:
        mounts.append({"name": API_ACCESS, "mountPath": API_ACCESS_DIR, "readOnly": True})
    return mounts


def shipper_mounts(launch: Launch) -> list[Json]:
    """The log shipper's mounts: Ray's folder to read, a folder of its own, the credentials."""
    return [
        {"name": SCRATCH, "mountPath": TMP_DIR, "subPath": "log-shipper"},
        {"name": SCRATCH, "mountPath": RAY_DIR, "subPath": "ray", "readOnly": True},
        *_credentials_mount(launch),
    ]


def _credentials_mount(launch: Launch) -> list[Json]:
    if not credentials_of(launch.step, launch.job.spec):
        return []
    return [{"name": CREDENTIALS, "mountPath": CREDENTIALS_DIR, "readOnly": True}]


def _cache_source(cache: ClaimCache | EphemeralCache) -> Json:
    if cache.type == "claim":
        return {"persistentVolumeClaim": {"claimName": cache.claim_name}}
    claim: Json = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{cache.size_gib}Gi"}},
    }
    if cache.storage_class_name:
        claim["storageClassName"] = cache.storage_class_name
    return {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}


def _api_access() -> Json:
    """What ``automountServiceAccountToken`` would mount, for one container alone."""
    namespace = {
        "path": "namespace",
        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
    }
    return {
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_S}},
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {"downwardAPI": {"items": [namespace]}},
            ],
        }
    }
