"""What a PriorityClass is worth in the launch order."""

import logging

import pytest

from controller.kube.faults import ForbiddenError, UnreachableError
from controller.kube.resources import DISTILLATION_JOBS, PRIORITY_CLASSES
from controller.launchers.kuberay.labels import JOB
from controller.operator.limits import LaunchLimits
from controller.operator.priorities import KEPT_S, Priorities
from tests.doubles.api_server import ApiServer
from tests.doubles.clock import VirtualClock
from tests.operator_world import OperatorWorld, make_resource


@pytest.fixture(autouse=True)
def _urgent_class(server: ApiServer) -> None:
    make_class(server, "urgent", 1000)


def make_class(server: ApiServer, name: str, value: int) -> None:
    server.create(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})


def test_a_class_is_worth_its_value_and_no_class_nothing(
    server: ApiServer, clock: VirtualClock
) -> None:
    priorities = Priorities(server, clock=clock.now)
    assert (priorities.value_of("urgent"), priorities.value_of("")) == (1000, 0)


def test_a_class_is_looked_up_once_a_minute(server: ApiServer, clock: VirtualClock) -> None:
    priorities = Priorities(server, clock=clock.now)
    assert priorities.value_of("later") == 0
    make_class(server, "later", 7)
    assert priorities.value_of("later") == 0
    clock.advance(KEPT_S)
    assert priorities.value_of("later") == 7


@pytest.mark.parametrize(
    "fault", [None, ForbiddenError("no", reason="Forbidden")], ids=["absent", "forbidden"]
)
def test_a_class_that_cannot_be_read_counts_as_none_and_is_told(
    server: ApiServer,
    clock: VirtualClock,
    caplog: pytest.LogCaptureFixture,
    fault: ForbiddenError | None,
) -> None:
    priorities = Priorities(server if fault is None else Failing(fault), clock=clock.now)
    with caplog.at_level(logging.WARNING):
        assert priorities.value_of("unknown") == 0
    assert "priority class counts as 0 in the launch order class=unknown" in caplog.text


def test_an_api_server_that_does_not_answer_is_asked_again(clock: VirtualClock) -> None:
    priorities = Priorities(
        Failing(UnreachableError("gone", reason="Unreachable")), clock=clock.now
    )
    with pytest.raises(UnreachableError):
        priorities.value_of("urgent")


def test_the_job_of_the_higher_class_starts_first(server: ApiServer, clock: VirtualClock) -> None:
    limits = LaunchLimits(launches_per_second=100, active_steps=1)
    world = OperatorWorld(server, clock, limits=limits)
    for name, priority_class in (("busy", ""), ("older", ""), ("newer", "urgent")):
        document = make_resource(runtime__priorityClassName=priority_class)
        document["metadata"]["name"] = name
        world.apply(document)
        world.pass_time(1)
    (busy,) = world.children()
    assert busy["metadata"]["labels"][JOB] == "busy"
    server.delete(
        DISTILLATION_JOBS,
        namespace="default",
        name="busy",
        uid=busy["metadata"]["ownerReferences"][0]["uid"],
    )
    server.collect_garbage()
    world.pass_time(31)
    assert [each["metadata"]["labels"][JOB] for each in world.children()] == ["newer"]


class Failing:
    """An API that answers every question with a fault."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def fetch(self, *_: object, **__: object) -> dict[str, object]:
        raise self._fault
