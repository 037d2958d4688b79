"""From children to their parents' keys."""

from typing import Any

import pytest

from controller.kube.api import Json
from controller.kube.resources import RAY_CLUSTERS, RAY_JOBS
from controller.runtime.cache import Cache
from controller.runtime.owners import (
    controller_of,
    is_controlled_by,
    parent_key,
    parent_mapper,
    waking,
)


def make_parent(name: str = "p", *, uid: str = "1", namespace: str = "team") -> Json:
    return {"metadata": {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": "1"}}


def make_child(**change: Any) -> Json:
    owner = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "name": "p",
        "uid": "1",
        "controller": True,
    }
    owners = [{**owner, "kind": "Other", "controller": False, "uid": "9"}, {**owner, **change}]
    return {"metadata": {"namespace": "team", "name": "c", "ownerReferences": owners}}


def make_parents(*parents: Json) -> Cache:
    cache = Cache()
    cache.replace(parents)
    return cache


def test_a_child_leads_to_the_parent_that_made_it() -> None:
    parents = make_parents(make_parent())
    assert parent_key(make_child(), parent=RAY_JOBS, parents=parents) == "team/p"


def test_another_version_of_the_parents_group_is_the_same_kind() -> None:
    child = make_child(apiVersion="ray.io/v1alpha1")
    assert parent_key(child, parent=RAY_JOBS, parents=make_parents(make_parent())) == "team/p"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"uid": "2"}, id="another parent of that name"),
        pytest.param({"name": "q"}, id="no such parent"),
        pytest.param({"kind": "RayCluster"}, id="another kind"),
        pytest.param({"apiVersion": "example.org/v1"}, id="another group"),
        pytest.param({"apiVersion": "v1"}, id="the core group"),
        pytest.param({"controller": False}, id="an owner that is no controller"),
    ],
)
def test_a_child_of_anybody_else_leads_nowhere(change: dict[str, object]) -> None:
    parents = make_parents(make_parent())
    assert parent_key(make_child(**change), parent=RAY_JOBS, parents=parents) is None


def test_a_parent_in_another_namespace_is_not_the_one() -> None:
    parents = make_parents(make_parent(namespace="other"))
    assert parent_key(make_child(), parent=RAY_JOBS, parents=parents) is None


def test_an_object_without_owners_has_no_controller() -> None:
    orphan = {"metadata": {"namespace": "team", "name": "c"}}
    assert controller_of(orphan) is None
    assert is_controlled_by(orphan, "1") is False
    assert parent_key(orphan, parent=RAY_JOBS, parents=make_parents(make_parent())) is None


def test_only_the_controller_reference_says_who_made_it() -> None:
    assert is_controlled_by(make_child(), "1") is True
    assert is_controlled_by(make_child(), "9") is False


def test_a_child_that_changes_hands_wakes_both_parents() -> None:
    parents = make_parents(make_parent(), make_parent("q", uid="2"))
    woken: list[str] = []
    handle = waking(woken.append, by=parent_mapper(parent=RAY_JOBS, parents=parents))
    handle(make_child(), make_child(name="q", uid="2"))
    assert woken == ["team/p", "team/q"]


def test_a_child_wakes_its_parent_once_whatever_happens_to_it() -> None:
    parents = make_parents(make_parent())
    woken: list[str] = []
    handle = waking(woken.append, by=parent_mapper(parent=RAY_JOBS, parents=parents))
    handle(None, make_child())
    handle(make_child(), make_child())
    handle(make_child(), None)
    assert woken == ["team/p"] * 3


def test_a_child_of_nobody_known_wakes_nobody() -> None:
    woken: list[str] = []
    mapper = parent_mapper(parent=RAY_CLUSTERS, parents=make_parents(make_parent()))
    waking(woken.append, by=mapper)(None, make_child())
    assert woken == []
