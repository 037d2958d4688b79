"""How many steps are at work, by namespace, kept up to date without counting all jobs.

Two know of it: the status as the cache shows it, which lags behind what was just started, and the
reconciler, which after a restart knows nothing yet. For each job the larger number counts, so that
the limits hold however long the queue is. Filled by the informer of DistillationJobs and by
``reconciler.py``; read for ``limits.py``.
"""

import threading
from collections import Counter
from collections.abc import Mapping

from controller.kube.api import Json
from controller.runtime.cache import key_of, split_key
from distillery.status import StepState


class ActiveSteps:
    """Numbers of steps. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, int] = {}
        self._expected: dict[str, int] = {}
        self._totals: Counter[str] = Counter()

    def handle(self, old: Json | None, new: Json | None) -> None:
        """Takes in what a job's status shows; an informer's handler."""
        if new is not None:
            self._note(self._shown, key_of(new), _count_running(new))
        elif old is not None:
            self._note(self._shown, key_of(old), 0)

    def expect(self, key: str, num_steps: int) -> None:
        """The job ``<namespace>/<name>`` has so many steps that live or are about to."""
        self._note(self._expected, key, num_steps)

    def by_namespace(self) -> Mapping[str, int]:
        """The numbers of steps; a namespace without any is left out."""
        with self._lock:
            return dict(self._totals)

    def _note(self, numbers: dict[str, int], key: str, num_steps: int) -> None:
        namespace, _ = split_key(key)
        with self._lock:
            before = self._number(key)
            if num_steps:
                numbers[key] = num_steps
            else:
                numbers.pop(key, None)
            self._totals[namespace] += self._number(key) - before
            if not self._totals[namespace]:
                del self._totals[namespace]

    def _number(self, key: str) -> int:
        return max(self._shown.get(key, 0), self._expected.get(key, 0))


def _count_running(job: Json) -> int:
    stages = (job.get("status") or {}).get("stages") or ()
    return sum(stage.get("state") == StepState.RUNNING for stage in stages)
