"""The cache: keys, projection, indexes, and what it says has changed."""

import threading
from typing import Any

from controller.kube.api import Json
from controller.runtime.cache import (
    Cache,
    Difference,
    by_label,
    by_owner_uid,
    key_of,
    split_key,
)
from controller.runtime.projection import LAST_APPLIED, without, without_bulk


def make_object(name: str, *, version: int = 1, uid: str = "", **meta: Any) -> Json:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            **meta,
        }
    }


def owned_by(*uids: str) -> list[Json]:
    return [{"apiVersion": "v1", "kind": "Owner", "name": "o", "uid": uid} for uid in uids]


def names(objects: list[Json]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def test_a_key_names_namespace_and_name() -> None:
    assert key_of(make_object("a")) == "team/a"
    assert split_key("team/a") == ("team", "a")


def test_a_cluster_wide_object_has_a_key_without_a_namespace() -> None:
    assert key_of({"metadata": {"name": "crd"}}) == "/crd"
    assert split_key("/crd") == ("", "crd")


def test_a_new_object_a_newer_one_and_its_end_are_differences() -> None:
    cache = Cache()
    first, second = make_object("a"), make_object("a", version=2)
    assert cache.put(first) == [Difference(key="team/a", old=None, new=first)]
    assert cache.put(second) == [Difference(key="team/a", old=first, new=second)]
    assert cache.get("team/a") == second
    last = make_object("a", version=3)
    assert cache.remove(last) == [Difference(key="team/a", old=last, new=None)]
    assert cache.get("team/a") is None
    assert len(cache) == 0


def test_the_same_version_again_is_no_difference() -> None:
    cache = Cache()
    cache.put(make_object("a"))
    assert cache.put(make_object("a")) == []


def test_removing_what_is_not_there_is_no_difference() -> None:
    assert Cache().remove(make_object("a")) == []


def test_another_object_of_the_same_name_is_an_end_and_a_beginning() -> None:
    cache = Cache()
    old, new = make_object("a", uid="1"), make_object("a", uid="2", version=5)
    cache.put(old)
    assert cache.put(new) == [
        Difference(key="team/a", old=old, new=None),
        Difference(key="team/a", old=None, new=new),
    ]


def test_the_end_of_an_unseen_successor_ends_the_object_that_was_seen() -> None:
    cache = Cache()
    old = make_object("a", uid="1")
    cache.put(old)
    assert cache.remove(make_object("a", uid="2")) == [Difference(key="team/a", old=old, new=None)]


def test_a_whole_list_replaces_everything_and_tells_only_what_differs() -> None:
    cache = Cache()
    for name in ("gone", "same", "changed"):
        cache.put(make_object(name))
    differences = cache.replace(
        [make_object("same"), make_object("changed", version=2), make_object("new")]
    )
    assert [(each.key, each.old is None, each.new is None) for each in differences] == [
        ("team/changed", False, False),
        ("team/gone", False, True),
        ("team/new", True, False),
    ]
    assert cache.keys() == ["team/changed", "team/new", "team/same"]
    assert names(cache.objects()) == ["changed", "new", "same"]


def test_a_label_index_follows_the_label() -> None:
    cache = Cache(indexes={"job": by_label("job")})
    cache.put(make_object("b", labels={"job": "x"}))
    cache.put(make_object("a", labels={"job": "x"}))
    cache.put(make_object("c"))
    assert names(cache.find("job", "x")) == ["a", "b"]
    cache.put(make_object("a", version=2, labels={"job": "y"}))
    assert names(cache.find("job", "x")) == ["b"]
    assert cache.count("job") == {"x": 1, "y": 1}
    cache.remove(make_object("b"))
    assert cache.find("job", "x") == []
    assert cache.count("job") == {"y": 1}


def test_an_object_is_found_under_each_of_its_owners() -> None:
    cache = Cache(indexes={"owner": by_owner_uid})
    cache.put(make_object("a", ownerReferences=owned_by("1", "2")))
    cache.put(make_object("b", ownerReferences=owned_by("2")))
    assert names(cache.find("owner", "1")) == ["a"]
    assert names(cache.find("owner", "2")) == ["a", "b"]


def test_managed_fields_and_kubectls_annotation_are_not_kept() -> None:
    full = make_object(
        "a", managedFields=[{"manager": "x"}], annotations={LAST_APPLIED: "{}", "kept": "1"}
    )
    assert without_bulk(full) == make_object("a", annotations={"kept": "1"})
    assert "managedFields" in full["metadata"]
    assert LAST_APPLIED in full["metadata"]["annotations"]


def test_an_object_without_bulk_stays_as_it_is() -> None:
    assert without_bulk(make_object("a", annotations={"k": "v"})) == make_object(
        "a", annotations={"k": "v"}
    )


def test_named_paths_are_dropped_where_they_are() -> None:
    full = {**make_object("a"), "spec": {"template": {"deep": 1}, "kept": 2}, "status": "text"}
    project = without("spec.template", "status.results", "none.such")
    assert project(full) == {**make_object("a"), "spec": {"kept": 2}, "status": "text"}
    assert full["spec"] == {"template": {"deep": 1}, "kept": 2}


def test_readers_in_other_threads_never_see_a_half_made_index() -> None:
    cache = Cache(indexes={"job": by_label("job")})
    is_done = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not is_done.is_set():
            for value in ("x", "y"):
                wrong.extend(
                    obj
                    for obj in cache.find("job", value)
                    if obj["metadata"]["labels"]["job"] != value
                )

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(2000):
        cache.put(make_object("a", version=version, labels={"job": "xy"[version % 2]}))
    is_done.set()
    reader.join(timeout=30)
    assert wrong == []
    assert names(cache.find("job", "y")) == ["a"]
