"""The environment of a step's containers, and which names in it are ours alone.

The stages read it (``ray_jobs``): names and meanings are a contract. Values must not hold ``$(``
where they come from a user, for the kubelet expands it; the step's config is written without ``$``.
"""

import json
import re

from controller.kube.api import Json
from controller.launchers.kuberay.credentials import credentials_environment, credentials_of
from controller.launchers.kuberay.launch import Launch
from controller.launchers.kuberay.places import MODEL_CACHE_DIR, SCRATCH_DIR, TMP_DIR
from distillery.errors import SpecError
from distillery.names import progress_map_name
from distillery.stage_configs import CONFIG_VARIABLE

MAX_CONFIG_BYTES = 100_000
"""Linux takes at most 128 KiB for one variable."""

_CACHE_DIR = f"{SCRATCH_DIR}/cache"
_FOLDERS = {
    "HOME": SCRATCH_DIR,
    "TMPDIR": TMP_DIR,
    "XDG_CACHE_HOME": _CACHE_DIR,
    "XDG_CONFIG_HOME": f"{SCRATCH_DIR}/config",
    "HF_HOME": f"{MODEL_CACHE_DIR}/huggingface",
    "VLLM_CACHE_ROOT": f"{_CACHE_DIR}/vllm",
    "TRITON_CACHE_DIR": f"{_CACHE_DIR}/triton",
    "TORCHINDUCTOR_CACHE_DIR": f"{_CACHE_DIR}/inductor",
}
_NO_GPUS = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Where NVIDIA's runtime is the default, a container that asked for no GPU would see all."""
_RESERVED = re.compile(
    r"^(DISTILLERY_|KUBERAY_|KUBERNETES_|RAY_([A-Z]|gcs_storage|external_storage|enable_autoscaler))"
)
_RESERVED_NAMES = {
    *_FOLDERS, *_NO_GPUS, "POD_NAME", "HF_TOKEN_PATH", "HF_TOKEN", "PYTHONUNBUFFERED", "FQ_RAY_IP",
    "REDIS_USERNAME", "REDIS_PASSWORD",
}  # fmt: skip


def is_reserved_variable(name: str) -> bool:
    """Whether a variable is ours or KubeRay's, so that nobody else may set it."""
    return name in _RESERVED_NAMES or _RESERVED.match(name) is not None


def head_environment(launch: Launch) -> list[Json]:
    """Of the head's Ray container, whose environment the driver inherits.

    Raises: ``SpecError`` (``StepConfigTooLong``).
    """
    metadata = launch.job.metadata
    driver = {
        CONFIG_VARIABLE: step_config_text(launch),
        "DISTILLERY_PROGRESS_CONFIG_MAP": progress_map_name(metadata.name),
        "DISTILLERY_NAMESPACE": metadata.namespace,
        "DISTILLERY_STEP": launch.step.id,
        "DISTILLERY_ATTEMPT": str(launch.number),
        "DISTILLERY_SUBMISSION_ID": launch.name,
    }
    return [*ray_environment(launch, has_gpus=False), *_variables(driver)]


def ray_environment(launch: Launch, *, has_gpus: bool) -> list[Json]:
    """Of every Ray container."""
    values = _FOLDERS | _shared(launch) | {"RAY_USAGE_STATS_ENABLED": "0"}
    return [_pod_name(), *_variables(values if has_gpus else values | _NO_GPUS)]


def shipper_environment(launch: Launch) -> list[Json]:
    """Of the log shipper."""
    values = {"HOME": TMP_DIR, "TMPDIR": TMP_DIR} | _shared(launch) | _NO_GPUS
    return [_pod_name(), *_variables(values)]


def submitter_environment() -> list[Json]:
    """Of the submitter, which only speaks to the dashboard."""
    return _variables(
        {"HOME": TMP_DIR, "TMPDIR": TMP_DIR, "RAY_USAGE_STATS_ENABLED": "0"} | _NO_GPUS
    )


def step_config_text(launch: Launch) -> str:
    """The step's config as JSON that the kubelet leaves alone.

    Raises: ``SpecError`` (``StepConfigTooLong``).
    """
    text = json.dumps(launch.config.dump(), ensure_ascii=False, separators=(",", ":"))
    # A dollar stands in JSON inside texts only, where it may be escaped.
    text = text.replace("$", "\\u0024")
    size = len(text.encode())
    if size > MAX_CONFIG_BYTES:
        raise SpecError(
            f"spec: the config of {launch.step.id} must be at most {MAX_CONFIG_BYTES} bytes, "
            f"got {size}; shorten spec.prompts or spec.runtime",
            reason="StepConfigTooLong",
        )
    return text


def _shared(launch: Launch) -> dict[str, str]:
    storage = launch.job.spec.storage
    values = {
        "PYTHONUNBUFFERED": "1",
        "DISTILLERY_LOG_PREFIX": launch.log_prefix,
        "DISTILLERY_STORAGE_URI": storage.uri,
        "DISTILLERY_STORAGE_ENDPOINT": storage.endpoint_url,
        "DISTILLERY_STORAGE_REGION": storage.region,
        "DISTILLERY_STORAGE_CREDENTIALS": storage.credentials_ref or "",
    }
    escaped = {name: value.replace("$", "$$") for name, value in values.items() if value}
    return escaped | credentials_environment(credentials_of(launch.step, launch.job.spec))


def _variables(values: dict[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _pod_name() -> Json:
    """The variable that tells a pod its name."""
    field = {"apiVersion": "v1", "fieldPath": "metadata.name"}
    return {"name": "POD_NAME", "valueFrom": {"fieldRef": field}}
