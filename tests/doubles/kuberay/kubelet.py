"""What nodes do with pods where there is no node: pods start, run, meet their fates, and go."""

from collections import Counter

from controller.kube.api import Json
from controller.kube.resources import PODS
from tests.doubles.kuberay.behaviour import PodFate, Timing
from tests.doubles.kuberay.clusters import has_ended, is_running
from tests.doubles.kuberay.fates import container_status
from tests.doubles.kuberay.objects import NODE_TYPE_LABEL
from tests.doubles.kuberay.pods import LINGER
from tests.doubles.kuberay.scripts import Scripts
from tests.doubles.kuberay.world import World


class Kubelet:
    """Drives the status of the double's pods. Remembers by uid when each was first seen."""

    def __init__(self, world: World, *, scripts: Scripts, timing: Timing) -> None:
        self._world = world
        self._scripts = scripts
        self._timing = timing
        self._seen_s: dict[str, float] = {}
        self._running_s: dict[str, float] = {}
        self._deleted_s: dict[str, float] = {}
        self._places: dict[str, int] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._met: set[tuple[str, int]] = set()
        self._doomed: set[str] = set()

    def look_at(self, pod: Json, now_s: float) -> None:
        """Does what is due for one pod."""
        uid = pod["metadata"]["uid"]
        self._seen_s.setdefault(uid, now_s)
        self._number(pod)
        if "deletionTimestamp" in pod["metadata"]:
            self._let_go(pod, now_s)
        elif uid in self._doomed:
            self._world.delete(PODS, pod)
        elif has_ended(pod):
            return
        elif is_running(pod):
            self._running_s.setdefault(uid, now_s)
            self._befall(pod, now_s)
        else:
            self._start(pod, now_s)

    def ran_s(self, pod: Json, now_s: float) -> float:
        """How long the pod has been running; 0 before."""
        since_s = self._running_s.get(pod["metadata"]["uid"])
        return 0.0 if since_s is None else now_s - since_s

    def end(self, pod: Json, *, exit_code: int) -> None:
        """Ends all containers of the pod by themselves."""
        reason = "Error" if exit_code else "Completed"
        state = {"terminated": {"exitCode": exit_code, "reason": reason}}
        changes = {
            "phase": "Failed" if exit_code else "Succeeded",
            "conditions": _conditions(is_ready=False),
            "containerStatuses": [
                container_status(each, state) for each in pod["spec"]["containers"]
            ],
        }
        self._world.change_status(PODS, pod, changes)

    def _start(self, pod: Json, now_s: float) -> None:
        age_s = now_s - self._seen_s[pod["metadata"]["uid"]]
        for fate in self._fates(pod):
            if fate.after_s is None and (fate.until_s is None or age_s < fate.until_s):
                self._world.change_status(PODS, pod, fate.status(pod))
                return
        takes_s = self._timing.pods_ready_s if _type_of(pod) else self._timing.submitter_start_s
        if age_s < takes_s:
            self._world.change_status(PODS, pod, {"phase": "Pending"})
            return
        runs: Json = {"running": {}}
        changes = {
            "phase": "Running",
            "conditions": _conditions(is_ready=True),
            "containerStatuses": [
                container_status(each, runs, is_ready=True) for each in pod["spec"]["containers"]
            ],
        }
        self._world.change_status(PODS, pod, changes)

    def _befall(self, pod: Json, now_s: float) -> None:
        """What is due by now, once: a status is seen for a look before its pod is deleted."""
        uid, ran_s = pod["metadata"]["uid"], self.ran_s(pod, now_s)
        for number, fate in enumerate(self._fates(pod)):
            if fate.after_s is None or ran_s < fate.after_s or (uid, number) in self._met:
                continue
            self._met.add((uid, number))
            changes = fate.status(pod)
            if changes:
                self._world.change_status(PODS, pod, changes)
            if fate.is_deleted and changes:
                self._doomed.add(uid)
            elif fate.is_deleted:
                self._world.delete(PODS, pod)
            return

    def _let_go(self, pod: Json, now_s: float) -> None:
        metadata = pod["metadata"]
        since_s = self._deleted_s.setdefault(metadata["uid"], now_s)
        finalizers = metadata.get("finalizers") or []
        if LINGER in finalizers and now_s - since_s >= self._scripts.of_pod(pod).pods_linger_s:
            others = [each for each in finalizers if each != LINGER]
            self._world.change_metadata(PODS, pod, {"finalizers": others})

    def _number(self, pod: Json) -> None:
        """The pod's place among those of its type that its cluster has had."""
        uid = pod["metadata"]["uid"]
        if uid not in self._places:
            key = (*self._scripts.place_of(pod), _type_of(pod))
            self._places[uid] = self._counts[key]
            self._counts[key] += 1

    def _fates(self, pod: Json) -> list[PodFate]:
        kind, place = _type_of(pod) or "submitter", self._places[pod["metadata"]["uid"]]
        fates = self._scripts.of_pod(pod).fates
        return [each for each in fates if (each.node_type, each.index) == (kind, place)]


def _type_of(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(NODE_TYPE_LABEL, ""))


def _conditions(*, is_ready: bool) -> list[Json]:
    ready = "True" if is_ready else "False"
    return [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        {"type": "ContainersReady", "status": ready},
        {"type": "Ready", "status": ready},
    ]
