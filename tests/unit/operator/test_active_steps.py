"""How many steps are at work: what statuses show, and what was started but isn't shown yet."""

from controller.kube.api import Json
from controller.operator.active import ActiveSteps


def make_resource(name: str, *states: str, namespace: str = "a") -> Json:
    stages = [{"stage": "train", "state": state} for state in states]
    return {"metadata": {"namespace": namespace, "name": name}, "status": {"stages": stages}}


def test_running_steps_are_counted_by_namespace() -> None:
    active = ActiveSteps()
    active.handle(None, make_resource("x", "Done", "Running", "Running"))
    active.handle(None, make_resource("y", "Running"))
    active.handle(None, make_resource("z", "Running", namespace="b"))
    assert active.by_namespace() == {"a": 3, "b": 1}


def test_a_step_just_started_counts_before_its_status_shows_it_and_not_twice() -> None:
    active = ActiveSteps()
    active.handle(None, make_resource("x"))
    active.expect("a/x", 1)
    assert active.by_namespace() == {"a": 1}
    active.handle(make_resource("x"), make_resource("x", "Running"))
    assert active.by_namespace() == {"a": 1}


def test_a_step_that_ended_counts_until_its_status_says_so() -> None:
    active = ActiveSteps()
    active.handle(None, make_resource("x", "Running"))
    active.expect("a/x", 1)
    active.expect("a/x", 0)
    assert active.by_namespace() == {"a": 1}
    active.handle(make_resource("x", "Running"), make_resource("x", "Done"))
    assert active.by_namespace() == {}


def test_a_job_that_is_gone_counts_no_more() -> None:
    active = ActiveSteps()
    active.handle(None, make_resource("x", "Running"))
    active.handle(make_resource("x", "Running"), None)
    assert active.by_namespace() == {}
