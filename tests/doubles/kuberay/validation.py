"""What KubeRay refuses of a RayJob beyond the CRD's schema, as far as we could get it wrong.

Its words are paraphrased but for the places tests look at; the status is ValidationFailed.
"""

import re
from collections.abc import Iterator

from controller.kube.api import Json

MAX_RAY_JOB_NAME_CHARS = 47
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def find_refusal(ray_job: Json) -> str:
    """Why KubeRay refuses the RayJob; empty where it doesn't."""
    return next(_refusals(ray_job), "")


def _refusals(ray_job: Json) -> Iterator[str]:
    name, spec = ray_job["metadata"]["name"], ray_job["spec"]
    if len(name) > MAX_RAY_JOB_NAME_CHARS:
        most = MAX_RAY_JOB_NAME_CHARS
        yield f"The RayJob metadata is invalid: RayJob name should be no more than {most} characters"
    if not _DNS_1035.fullmatch(name):
        yield "The RayJob metadata is invalid: RayJob name should be a valid DNS1035 label"
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        yield "The RayJob spec is invalid: it can't be suspended without shutdownAfterJobFinishes"
    for field in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if spec.get(field, 1) <= 0:
            yield f"The RayJob spec is invalid: {field} must be a positive integer"
    if "rayClusterSpec" not in spec:
        yield "The RayJob spec is invalid: one of RayClusterSpec or ClusterSelector must be set"
        return
    yield from _cluster_refusals(spec["rayClusterSpec"])


def _cluster_refusals(spec: Json) -> Iterator[str]:
    if not spec["headGroupSpec"]["template"]["spec"].get("containers"):
        yield "The RayJob spec is invalid: headGroupSpec should have at least one container"
    for group in spec.get("workerGroupSpecs") or ():
        least, most = group.get("minReplicas"), group.get("maxReplicas")
        if least is None or most is None or least > most:
            yield f"The RayJob spec is invalid: worker group {group['groupName']}: min/maxReplicas"
    version = spec.get("rayVersion", "")
    if (spec.get("authOptions") or {}).get("mode") == "token" and not _takes_tokens(version):
        yield f"The RayJob spec is invalid: authOptions.mode token: got Ray version {version!r}"


def _takes_tokens(version: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (2, 52)
