"""The double in a thread, on the real time."""

import threading
from typing import NoReturn

import pytest

from controller.kube.api import EventType
from controller.kube.resources import CONFIG_MAPS, RAY_JOBS
from tests.doubles.api_server import ApiServer
from tests.doubles.kuberay.behaviour import Timing, succeeds
from tests.doubles.kuberay.operator import KubeRayDouble
from tests.doubles.kuberay.running import running_kuberay
from tests.unit.doubles.kuberay_lab import make_ray_job

DEADLINE_S = 30.0


def test_a_ray_job_completes_while_the_thread_runs() -> None:
    server = ApiServer()
    double = KubeRayDouble(
        server,
        behave=lambda ray_job: succeeds("train-small", runs_s=0.0),
        timing=Timing().scaled(0.001),
        collect_garbage=server.collect_garbage,
    )
    server.create(RAY_JOBS, make_ray_job())
    server.create(CONFIG_MAPS, {"metadata": {"name": "sums-progress", "namespace": "default"}})
    states = []
    with running_kuberay(double, interval_s=0.001):
        watch = server.watch(
            RAY_JOBS, resource_version=server.version, timeout_s=DEADLINE_S, silence_s=DEADLINE_S
        )
        with watch as events:
            for event in events:
                if event.type != EventType.BOOKMARK:
                    states.append((event.object.get("status") or {}).get("jobDeploymentStatus"))
                if states[-1:] == ["Complete"]:
                    break
    assert states[-1] == "Complete"
    assert double.faults == []


def test_what_goes_wrong_in_the_thread_is_raised_at_the_end() -> None:
    went_wrong = threading.Event()

    def break_down() -> NoReturn:
        went_wrong.set()
        raise RuntimeError("broken")

    double = KubeRayDouble(
        ApiServer(), behave=lambda ray_job: succeeds("s"), collect_garbage=break_down
    )
    with pytest.raises(RuntimeError, match="broken"), running_kuberay(double):
        assert went_wrong.wait(DEADLINE_S)
