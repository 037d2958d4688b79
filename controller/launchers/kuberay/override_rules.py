"""What may be changed in a pod template, field by field: tables, and nothing else.

A job may change what is listed as free. A profile, which is the administrator's, may change all but
what is fixed: steps and KubeRay rely on that. ``overrides.py`` applies the rules.
"""

FREE_METADATA = ("labels", "annotations")

FREE_SPEC: dict[str, type] = {
    "nodeSelector": dict,
    "affinity": dict,
    "tolerations": list,
    "topologySpreadConstraints": list,
    "schedulerName": str,
    "runtimeClassName": str,
    "terminationGracePeriodSeconds": int,
    "imagePullSecrets": list,
    "dnsPolicy": str,
    "dnsConfig": dict,
    "hostAliases": list,
}
CHECKED_SPEC = ("containers", "volumes", "securityContext")
"""Looked into by rules of their own."""
FIXED_SPEC: dict[str, str] = {
    "restartPolicy": "a restarted pod would run its step twice",
    "serviceAccountName": "set spec.runtime.serviceAccountName",
    "serviceAccount": "set spec.runtime.serviceAccountName",
    "automountServiceAccountToken": "only the driver speaks to the API server",
    "priorityClassName": "set spec.runtime.priorityClassName",
    "activeDeadlineSeconds": "set spec.runtime.stepDeadlineSeconds",
    "ephemeralContainers": "remove it",
}
"""Not even a profile's to change, and the way out."""

FREE_CONTAINER: dict[str, type] = {
    "name": str,
    "imagePullPolicy": str,
    "livenessProbe": dict,
    "readinessProbe": dict,
    "startupProbe": dict,
}
CHECKED_CONTAINER = ("env", "resources", "securityContext", "volumeMounts")
FIXED_CONTAINER: dict[str, str] = {
    "command": "the step starts it",
    "args": "the step starts it",
    "image": "set spec.runtime.image",
    "ports": "KubeRay finds them by number",
    "restartPolicy": "a restarted container would run its step twice",
    "workingDir": "remove it",
    "lifecycle": "remove it",
}

FREE_POD_SECURITY: dict[str, type] = {
    "runAsUser": int,
    "runAsGroup": int,
    "fsGroup": int,
    "fsGroupChangePolicy": str,
    "supplementalGroups": list,
}
FREE_CONTAINER_SECURITY: dict[str, type] = {
    "runAsUser": int,
    "runAsGroup": int,
    "readOnlyRootFilesystem": bool,
}
FREE_RESOURCES = ("cpu", "memory")
FREE_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
"""The types that Pod Security *restricted* allows."""

FIXED_ANNOTATIONS = (
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
)
