"""What pods looked like that are gone, for as long as somebody may ask."""

from controller.operator.gone_pods import KEPT_S, GonePods
from tests.doubles.clock import VirtualClock

LABEL = "distillery.dev/ray-job"


def make_pod(name: str, owner: str | None = "child") -> dict:
    labels = {LABEL: owner} if owner else {}
    return {"metadata": {"name": name, "namespace": "a", "labels": labels}}


def test_a_pod_that_went_is_found_for_a_while_and_no_longer() -> None:
    clock = VirtualClock()
    gone = GonePods(label=LABEL, clock=clock)
    gone.handle(make_pod("head"), None)
    assert gone.find(namespace="a", owner="child") == (make_pod("head"),)
    assert gone.find(namespace="b", owner="child") == ()
    clock.advance(KEPT_S)
    gone.handle(make_pod("other", "later"), None)
    assert gone.find(namespace="a", owner="child") == ()


def test_pods_that_change_or_are_nobodys_are_not_remembered() -> None:
    gone = GonePods(label=LABEL, clock=VirtualClock())
    gone.handle(make_pod("head"), make_pod("head"))
    gone.handle(None, make_pod("head"))
    gone.handle(make_pod("stray", None), None)
    assert gone.find(namespace="a", owner="child") == ()
