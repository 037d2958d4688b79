"""Pod Security *restricted*, as its specification says: what in a pod template breaks it.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from typing import Any

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip


def find_breaches(template: dict[str, Any]) -> list[str]:
    """What is not allowed, in words; empty for a restricted pod."""
    spec = template["spec"]
    breaches = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for volume in spec.get("volumes", []):
        breaches += [
            f"volume {volume['name']}: {kind}" for kind in volume if kind not in _VOLUMES | {"name"}
        ]
    pod = spec.get("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        breaches += [f"{container['name']}: {each}" for each in _breaches(pod, container)]
    return breaches + (["sysctls"] if pod.get("sysctls") else [])


def _breaches(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    own = container.get("securityContext", {})
    merged = pod | own
    capabilities = own.get("capabilities", {})
    rules = {
        "privileged": not own.get("privileged", False),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "runAsNonRoot": merged.get("runAsNonRoot") is True,
        "runAsUser": merged.get("runAsUser") != 0,
        "seccompProfile": merged.get("seccompProfile", {}).get("type")
        in ("RuntimeDefault", "Localhost"),
        "capabilities.drop": "ALL" in capabilities.get("drop", []),
        "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "procMount": merged.get("procMount", "Default") == "Default",
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
    }
    return [name for name, is_kept in rules.items() if not is_kept]
