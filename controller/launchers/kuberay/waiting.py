"""What a live attempt waits for, in words: Kueue's queue, KubeRay itself, or its pods' places.

The words don't change while the wait doesn't, so that a status isn't written for nothing. Pure.
"""

from collections.abc import Mapping
from typing import Any

from controller.kube.api import Json
from controller.launchers.kuberay.ray_job_views import RayJobView
from controller.launchers.kuberay.wording import phrase
from controller.plan.snapshot import Failure


def words_of_wait(
    step: str,
    ray_job: RayJobView,
    *,
    blocker: Failure | None,
    workload: Json | None,
    is_evicted: bool,
    is_overlooked: bool,
) -> str:
    """What keeps the attempt from running; empty where nothing is known to.

    Args:
        workload: Kueue's, where it is known.
        is_evicted: It ran before Kueue took it back.
        is_overlooked: It is there for so long that KubeRay should have taken notice.
    """
    if ray_job.is_deleting:
        return ""
    if ray_job.is_suspended:
        return _in_queue(step, ray_job, workload, is_evicted)
    if ray_job.is_running:
        return ""
    if not ray_job.deployment_status:
        return _overlooked(step, ray_job) if is_overlooked else ""
    return blocker.message if blocker else ""


def _in_queue(step: str, ray_job: RayJobView, workload: Json | None, is_evicted: bool) -> str:
    if not ray_job.queue:
        return phrase(
            f"{step}: RayJob {ray_job.name}",
            "is suspended by somebody else",
            got="spec.suspend true",
            way_out="set it to false, or set spec.suspend of the job",
        )
    problem = "was evicted by Kueue and waits again" if is_evicted else "waits to be admitted"
    said = _said_by_kueue(workload)
    return phrase(
        step,
        f"{problem} in queue {ray_job.queue}",
        got=f"'{said}'" if said else "no quota yet",
        way_out="see kubectl describe workload",
    )


def _said_by_kueue(workload: Json | None) -> str:
    status: Mapping[str, Any] = (workload or {}).get("status") or {}
    for each in status.get("conditions") or ():
        if each.get("type") == "QuotaReserved" and each.get("status") == "False":
            return str(each.get("message") or "")
    return ""


def _overlooked(step: str, ray_job: RayJobView) -> str:
    return phrase(
        f"{step}: RayJob {ray_job.name}",
        "KubeRay takes no notice of it",
        got="no status",
        way_out="see that its operator runs and watches this namespace",
    )
