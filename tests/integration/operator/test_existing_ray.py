"""The controller's process, a real API server, a real Ray cluster: jobs sent to ``rayAddress``."""

import random
import signal

import pytest

from controller.kube.faults import NotFoundError
from controller.kube.resources import DISTILLATION_JOBS
from distillery.conditions import ConditionType
from tests.controllers import Controllers
from tests.integration.operator.conftest import ScriptedRay, apply_job

pytestmark = [pytest.mark.heavy, pytest.mark.controlplane]

STEPS = ["prepare", "generate", "curate", "train-small", "evaluate-small", "publish"]


def started(ray: ScriptedRay) -> list[str]:
    return [line.split()[1] for line in ray.journal() if line.startswith("start")]


def test_a_job_succeeds_though_its_controller_is_killed_again_and_again(
    controllers: Controllers, scripted_ray: ScriptedRay
) -> None:
    rng = random.Random()
    scripted_ray.write_script()
    controllers.start()
    apply_job(controllers, scripted_ray, "sums")
    for _ in range(2):
        seen = len(started(scripted_ray))
        controllers.wait(lambda seen=seen: len(started(scripted_ray)) > seen)
        signal_at = rng.random()
        controllers.wait(lambda: True, deadline_s=signal_at)
        controllers.replicas[-1].send_signal(signal.SIGKILL)
        controllers.replicas[-1].wait()
        controllers.start()
    controllers.wait(lambda: controllers.is_finished("sums"))
    status = controllers.status("sums")
    assert status.is_true(ConditionType.SUCCEEDED)
    assert started(scripted_ray) == STEPS
    assert [line for line in scripted_ray.journal() if line.startswith("overlap")] == []
    assert status.results is not None
    assert status.results.report_uri.startswith("file:///store/jobs/")
    assert [stage.attempt for stage in status.stages] == [1] * len(STEPS)


def test_a_standby_takes_over_from_a_killed_leader_in_time(
    controllers: Controllers, scripted_ray: ScriptedRay
) -> None:
    gate = scripted_ray.folder / "takeover-gate"
    scripted_ray.write_script(generate={"until": str(gate)})
    first = controllers.start()
    controllers.wait(lambda: controllers.holder().startswith("pod-0"))
    controllers.start()
    apply_job(controllers, scripted_ray, "sums")
    controllers.wait(lambda: "start generate" in scripted_ray.journal())
    first.kill()
    took_s = controllers.wait(lambda: controllers.holder().startswith("pod-1"))
    assert took_s < 20
    gate.touch()
    controllers.wait(lambda: controllers.is_finished("sums"))
    assert controllers.status("sums").is_true(ConditionType.SUCCEEDED)
    assert started(scripted_ray) == STEPS


def test_a_paused_leader_writes_nothing_once_its_lease_is_lost(
    controllers: Controllers, scripted_ray: ScriptedRay
) -> None:
    scripted_ray.write_script()
    first = controllers.start()
    controllers.wait(lambda: controllers.holder().startswith("pod-0"))
    controllers.start()
    first.send_signal(signal.SIGSTOP)
    controllers.wait(lambda: controllers.holder().startswith("pod-1"))
    apply_job(controllers, scripted_ray, "sums")
    controllers.wait(lambda: "start prepare" in scripted_ray.journal())
    first.send_signal(signal.SIGCONT)
    assert first.wait(30) == 1
    assert "the lease is lost" in controllers.log(0).read_text("utf-8")
    controllers.wait(lambda: controllers.is_finished("sums"))
    assert started(scripted_ray) == STEPS
    assert controllers.holder().startswith("pod-1")


def test_a_deleted_jobs_ray_job_is_stopped_and_then_the_resource_goes(
    controllers: Controllers, scripted_ray: ScriptedRay
) -> None:
    scripted_ray.write_script(generate={"until": str(scripted_ray.folder / "never")})
    controllers.start()
    job = apply_job(controllers, scripted_ray, "sums")
    controllers.wait(lambda: "start generate" in scripted_ray.journal())
    controllers.wait(lambda: controllers.status("sums").stages[1].state == "Running")
    controllers.api.delete(
        DISTILLATION_JOBS,
        namespace=controllers.namespace,
        name="sums",
        uid=job["metadata"]["uid"],
    )

    def is_gone() -> bool:
        try:
            controllers.status("sums")
        except NotFoundError:
            return True
        return False

    assert controllers.wait(is_gone, deadline_s=50) < 50
    assert started(scripted_ray) == ["prepare", "generate"]
