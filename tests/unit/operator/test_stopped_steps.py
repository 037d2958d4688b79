"""Steps that the operator itself stops have not failed: by a suspension, or for another's failure."""

import pytest

from controller.kube.api import Json
from controller.kube.resources import RAY_JOBS
from distillery.conditions import ConditionStatus, ConditionType
from distillery.status import StepFailures, StepState
from tests.attempts import make_outcome, make_verdict
from tests.builders import make_document, make_job
from tests.doubles.api_server import ApiServer
from tests.hand_kuberay import HandKubeRay
from tests.operator_world import NAMESPACE, OperatorWorld, child_of, make_resource


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_suspended_job_waits_and_is_not_over(
    world: OperatorWorld, kuberay: HandKubeRay, is_restarted: bool
) -> None:
    world.apply(make_resource(ttlSecondsAfterFinished=100))
    world.settle()
    kuberay.succeed(child_of(world, "prepare"))
    world.pass_time(1)
    kuberay.run(child_of(world, "generate"))
    world.settle()
    world.change({"suspend": True})
    world.settle()
    if is_restarted:
        world.start()
    for _ in range(3):
        world.pass_time(200)
        status = world.job().status
        stage = status.stages[1]
        assert (stage.state, stage.reason) == (StepState.WAITING, "Suspended")
        assert (stage.failures, stage.failure_kind) == (StepFailures(), "")
        finished = status.condition(ConditionType.FINISHED)
        assert finished is not None
        assert finished.status == ConditionStatus.FALSE
    assert world.clusters() == []


def make_student(name: str) -> Json:
    student: Json = make_document()["spec"]["students"][0]
    return {**student, "name": name}


def test_a_student_stopped_for_the_failure_of_another_is_skipped(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    students = [make_student("bad"), make_student("good")]
    world.apply(
        make_resource(students=students, failurePolicy="FailFast", runtime={"maxParallelSteps": 2})
    )
    world.settle()
    prepare, finished = child_of(world, "prepare"), ("generate", "curate")
    verdict = make_verdict(make_job(students=students), finished=finished)
    kuberay.report(prepare, outcome=make_outcome("prepare", summary=verdict.dump()))
    kuberay.set_status(prepare, jobDeploymentStatus="Complete", jobStatus="SUCCEEDED")
    world.pass_time(1)
    kuberay.run(child_of(world, "train-good"))
    kuberay.fail(child_of(world, "train-bad"), retriable=False, reason="Hopeless")
    world.settle()
    world.pass_time(5)
    status = world.job().status
    stage = next(each for each in status.stages if each.step == "train-good")
    assert (stage.state, stage.reason) == (StepState.SKIPPED, "FailedFast")
    assert stage.message == "train-bad failed and failurePolicy is FailFast"
    assert stage.failures == StepFailures()
    succeeded = status.condition(ConditionType.SUCCEEDED)
    assert succeeded is not None
    assert (succeeded.reason, succeeded.message) == ("StudentsFailed", "failed students: bad")
    assert status.is_true(ConditionType.FINISHED)


def test_tidying_up_leaves_alone_an_attempt_that_has_just_begun(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    world.settle()
    kuberay.fail(child_of(world, "prepare"), retriable=True)
    world.settle()
    before = world.job()
    attempts = world.launcher.observe(before, now=world.wall())
    world.pass_time(700)
    second = child_of(world, "prepare", attempt=2)
    world.launcher.tidy(before, attempts, now=world.wall())
    assert [each["metadata"]["name"] for each in world.children()] == [second["metadata"]["name"]]


def test_an_attempt_that_somebody_deleted_while_suspended_has_not_failed(
    world: OperatorWorld, kuberay: HandKubeRay, server: ApiServer
) -> None:
    world.apply(make_resource())
    world.settle()
    child = child_of(world, "prepare")
    kuberay.run(child)
    world.settle()
    metadata = child["metadata"]
    server.delete(RAY_JOBS, namespace=NAMESPACE, name=metadata["name"], uid=metadata["uid"])
    world.change({"suspend": True})
    world.pass_time(60)
    stage = world.job().status.stages[0]
    assert (stage.state, stage.reason) == (StepState.WAITING, "Suspended")
    assert stage.failures == StepFailures()
