"""How pods looked when they went, for a while: why an attempt failed may be told by nothing else.

KubeRay deletes a failed pod at once, and a reconcile may come only after that. Filled by the pods'
informer; in memory alone.
"""

import threading

from controller.kube.api import Json
from controller.runtime.clock import Clock

KEPT_S = 600.0
MAX_PODS_PER_OWNER = 64


class GonePods:
    """The last state of deleted pods, by namespace and the value of a label. Thread-safe."""

    def __init__(self, *, label: str, clock: Clock) -> None:
        self._label = label
        self._clock = clock
        self._lock = threading.Lock()
        self._gone: dict[tuple[str, str], list[tuple[float, Json]]] = {}

    def handle(self, old: Json | None, new: Json | None) -> None:
        """Remembers a pod that goes; an informer's handler."""
        if new is not None or old is None:
            return
        metadata = old["metadata"]
        owner = (metadata.get("labels") or {}).get(self._label)
        if not owner:
            return
        now = self._clock.now()
        with self._lock:
            self._forget_old(now)
            pods = self._gone.setdefault((metadata["namespace"], owner), [])
            if len(pods) < MAX_PODS_PER_OWNER:
                pods.append((now, old))

    def find(self, *, namespace: str, owner: str) -> tuple[Json, ...]:
        """The pods of that label that went lately, in the order they went."""
        with self._lock:
            return tuple(pod for _, pod in self._gone.get((namespace, owner), ()))

    def _forget_old(self, now: float) -> None:
        for key, pods in list(self._gone.items()):
            kept = [(at, pod) for at, pod in pods if now - at < KEPT_S]
            if kept:
                self._gone[key] = kept
            else:
                del self._gone[key]
