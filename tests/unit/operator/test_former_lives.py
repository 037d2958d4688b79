"""A job deleted and applied again: what its former life has left goes in time and has no say."""

import re

import pytest

from controller.kube.api import Json
from controller.kube.resources import CONFIG_MAPS, DISTILLATION_JOBS
from controller.launchers.creating import create_own
from controller.launchers.kuberay.labels import owner_reference
from distillery.conditions import ConditionStatus, ConditionType
from distillery.errors import TransientError
from distillery.status import StepState
from tests.builders import make_document, make_job
from tests.doubles.api_server import ApiServer
from tests.doubles.clock import VirtualClock
from tests.hand_kuberay import HandKubeRay
from tests.operator_world import NAMESPACE, OperatorWorld


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(start=1_800_000_000.0)


@pytest.fixture
def server(clock: VirtualClock) -> ApiServer:
    return ApiServer(now_s=clock.now, clock=clock)


@pytest.fixture
def world(server: ApiServer, clock: VirtualClock) -> OperatorWorld:
    return OperatorWorld(server, clock)


def make_resource() -> Json:
    document = make_document(storage={"uri": "s3://bucket/store"})
    document["metadata"]["namespace"] = NAMESPACE
    return document


def apply_again(world: OperatorWorld, server: ApiServer) -> None:
    """A first life in which prepare is done, then a second before the first's things are gone."""
    world.apply(make_resource())
    world.settle()
    (prepare,) = world.children()
    HandKubeRay(server).succeed(prepare)
    world.pass_time(1)
    assert len(world.children()) == 2
    server.delete(DISTILLATION_JOBS, namespace=NAMESPACE, name="sums", uid=world.job().uid)
    world.apply(make_resource())
    world.settle()


def test_what_steps_said_in_a_former_life_is_not_heard(
    world: OperatorWorld, server: ApiServer
) -> None:
    apply_again(world, server)
    status = world.job().status
    assert {each.state for each in status.stages} == {StepState.WAITING}
    degraded = status.condition(ConditionType.DEGRADED)
    assert degraded is not None
    assert degraded.status == ConditionStatus.FALSE


def test_an_object_of_a_former_life_is_waited_for(server: ApiServer) -> None:
    def body(uid: str) -> Json:
        owner = owner_reference(make_job(), uid)
        metadata = {"name": "sums-progress", "namespace": NAMESPACE, "ownerReferences": [owner]}
        return {"metadata": metadata}

    create_own(server, CONFIG_MAPS, body("one"), uid="one")
    create_own(server, CONFIG_MAPS, body("one"), uid="one")
    want = "ConfigMap default/sums-progress: is left over, got one of a former job of that name; "
    with pytest.raises(TransientError, match=re.escape(want + "it goes by itself")) as caught:
        create_own(server, CONFIG_MAPS, body("two"), uid="two")
    assert caught.value.delay_s == 1.0


def test_a_job_begins_once_what_its_former_life_left_is_gone(
    world: OperatorWorld, server: ApiServer
) -> None:
    apply_again(world, server)
    server.collect_garbage()
    for _ in range(3):
        world.pass_time(2)
    (child,) = world.children()
    assert child["metadata"]["ownerReferences"][0]["uid"] == world.job().uid
    found = server.fetch(CONFIG_MAPS, namespace=NAMESPACE, name="sums-progress")
    assert found["metadata"]["ownerReferences"][0]["uid"] == world.job().uid
    assert "data" not in found
