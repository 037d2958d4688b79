"""What a job has once, beside its RayJobs: identity, progress, its role, its network policy.

All of it is owned by the DistillationJob and goes with it. A job on an existing Ray cluster has no
pods and needs none of it.
"""

from controller.kube.api import Json
from controller.kube.resources import (
    CONFIG_MAPS,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from controller.launchers.kuberay.installation import Installation
from controller.launchers.kuberay.labels import job_labels, owner_reference
from controller.launchers.kuberay.network import build_policy_spec
from controller.launchers.kuberay.pods import own_service_account, service_account_of
from distillery.names import progress_map_name
from distillery.spec.job import DistillationJob

Companion = tuple[Resource, Json]


def build_companions(
    job: DistillationJob, uid: str, installation: Installation
) -> tuple[Companion, ...]:
    """The objects to create before the first RayJob, in this order; empty for a job that runs on
    an existing Ray cluster."""
    if job.spec.runtime.ray_address:
        return ()
    progress = progress_map_name(job.metadata.name)
    account = service_account_of(job, installation)
    bodies: list[tuple[Resource, str, Json]] = [(CONFIG_MAPS, progress, {})]
    if account == own_service_account(job):
        identity: Json = {"automountServiceAccountToken": False}
        bodies.insert(0, (SERVICE_ACCOUNTS, account, identity))
    if installation.rbac_per_job:
        bodies.append((ROLES, progress, {"rules": [_progress_rule(progress)]}))
        bodies.append((ROLE_BINDINGS, progress, _binding(job, role=progress, account=account)))
    if installation.network_policy.enabled:
        policy = {"spec": build_policy_spec(job, installation)}
        bodies.append((NETWORK_POLICIES, own_service_account(job), policy))
    return tuple(
        (resource, _object(job, uid, resource, name) | body) for resource, name, body in bodies
    )


def _object(job: DistillationJob, uid: str, resource: Resource, name: str) -> Json:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": job.metadata.namespace,
            "labels": job_labels(job),
            "ownerReferences": [owner_reference(job, uid)],
        },
    }


def _progress_rule(name: str) -> Json:
    """All that a job's pods may do; the controller holds it too, so it may pass it on."""
    return {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [name],
        "verbs": ["get", "patch"],
    }


def _binding(job: DistillationJob, *, role: str, account: str) -> Json:
    return {
        "roleRef": {"apiGroup": ROLES.group, "kind": ROLES.kind, "name": role},
        "subjects": [
            {
                "kind": SERVICE_ACCOUNTS.kind,
                "name": account,
                "namespace": job.metadata.namespace,
            }
        ],
    }
