"""What both API servers do with objects: create, fetch, list, merge, delete."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from controller.kube.api import Json, KubeApi
from controller.kube.faults import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from controller.kube.resources import CONFIG_MAPS, LEASES, Resource
from tests.contract.kube.subjects import GADGETS, WIDGETS, Subject
from tests.doubles.api_kinds import NAMESPACES

UNKNOWN = Resource(group="contract.distillery.dev", version="v1", plural="nones", kind="None")
KINDS = pytest.mark.parametrize(
    "resource", [CONFIG_MAPS, LEASES, WIDGETS], ids=lambda resource: resource.plural
)


def version_of(obj: Json) -> str:
    return str(obj["metadata"]["resourceVersion"])


def owner_of(obj: Json, resource: Resource, **change: object) -> Json:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        **change,
    }


@KINDS
def test_a_created_object_has_all_the_server_gives_and_is_fetched_as_answered(
    subject: Subject, resource: Resource
) -> None:
    created = subject.create(resource, "a", labels={"k": "v"})
    meta = created["metadata"]
    assert (created["apiVersion"], created["kind"]) == (resource.api_version, resource.kind)
    assert (meta["name"], meta["namespace"]) == ("a", subject.namespace)
    assert meta["labels"] == {"k": "v"}
    assert len(meta["uid"]) == 36
    assert int(meta["resourceVersion"]) > 0
    assert meta["creationTimestamp"][-1] == "Z"
    assert len(meta["creationTimestamp"]) == len("2026-01-01T00:00:00Z")
    assert subject.fetch(resource, "a") == created


def test_two_objects_have_two_uids(subject: Subject) -> None:
    first, second = subject.create(CONFIG_MAPS, "a"), subject.create(CONFIG_MAPS, "b")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_a_name_is_given_once(subject: Subject) -> None:
    first = subject.create(CONFIG_MAPS, "a", data={"k": "first"})
    with pytest.raises(AlreadyExistsError) as error:
        subject.create(CONFIG_MAPS, "a", data={"k": "second"})
    assert error.value.status_code == 409
    assert subject.fetch(CONFIG_MAPS, "a") == first


@pytest.mark.parametrize("name", ["Upper", "under_score", "-a", "a.", "a" * 254, ""])
def test_a_name_that_is_no_dns_name_is_invalid(subject: Subject, name: str) -> None:
    with pytest.raises(InvalidError):
        subject.create(CONFIG_MAPS, name)


@pytest.mark.parametrize("value", ["a" * 64, "with space", "-a"])
def test_a_label_that_is_no_label_value_is_invalid(subject: Subject, value: str) -> None:
    with pytest.raises(InvalidError):
        subject.create(CONFIG_MAPS, "a", labels={"k": value})
    subject.create(CONFIG_MAPS, "a")
    with pytest.raises(InvalidError):
        subject.merge(CONFIG_MAPS, "a", {"metadata": {"labels": {"k": value}}})


def test_a_namespace_that_is_not_there_takes_no_object(api: KubeApi) -> None:
    with pytest.raises(NotFoundError):
        api.create(
            CONFIG_MAPS,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "a", "namespace": "absent"},
            },
        )


def test_what_is_not_there_is_not_found(subject: Subject) -> None:
    with pytest.raises(NotFoundError) as error:
        subject.fetch(CONFIG_MAPS, "absent")
    assert error.value.status_code == 404
    with pytest.raises(NotFoundError):
        subject.merge(CONFIG_MAPS, "absent", {"data": {"k": "v"}})


def test_a_kind_without_a_crd_is_not_found_in_any_way(subject: Subject) -> None:
    with pytest.raises(NotFoundError):
        subject.fetch(UNKNOWN, "a")
    with pytest.raises(NotFoundError):
        subject.api.list_page(UNKNOWN)
    with pytest.raises(NotFoundError):
        subject.create(UNKNOWN, "a")
    with (
        pytest.raises(NotFoundError),
        subject.api.watch(UNKNOWN, resource_version="1", timeout_s=1.0, silence_s=5.0) as events,
    ):
        list(events)


def test_a_merge_changes_what_it_names_removes_nulls_and_replaces_lists(subject: Subject) -> None:
    subject.create(WIDGETS, "a", spec={"keep": 1, "drop": 2, "deep": {"x": 1}, "list": [1, 2]})
    patch = {"spec": {"drop": None, "deep": {"y": 2}, "list": [3], "new": {"z": 1}}}
    merged = subject.merge(WIDGETS, "a", patch)
    want = {"keep": 1, "deep": {"x": 1, "y": 2}, "list": [3], "new": {"z": 1}}
    assert merged["spec"] == want
    assert subject.fetch(WIDGETS, "a") == merged


def test_a_merge_that_changes_nothing_makes_no_new_version(subject: Subject) -> None:
    created = subject.create(CONFIG_MAPS, "a", data={"k": "v"})
    merged = subject.merge(CONFIG_MAPS, "a", {"data": {"k": "v", "absent": None}})
    assert version_of(merged) == version_of(created)


def test_every_change_makes_a_higher_version(subject: Subject) -> None:
    versions = [int(version_of(subject.create(CONFIG_MAPS, "a")))]
    for number in range(12):
        patch = {"data": {"k": str(number)}}
        versions.append(int(version_of(subject.merge(CONFIG_MAPS, "a", patch))))
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("subresource", ["", "status"])
def test_a_merge_for_an_old_version_is_a_conflict_and_changes_nothing(
    subject: Subject, subresource: str
) -> None:
    created = subject.create(WIDGETS, "a", spec={"k": 0})
    now = subject.merge(WIDGETS, "a", {"spec": {"k": 1}})
    for old, wanted in ((created, ConflictError), (now, None)):
        patch = {"metadata": {"resourceVersion": version_of(old)}, "status": {"s": 1}}
        patch["spec"] = {"k": 2}
        if wanted is None:
            subject.merge(WIDGETS, "a", patch, subresource=subresource)
            continue
        with pytest.raises(wanted) as error:
            subject.merge(WIDGETS, "a", patch, subresource=subresource)
        assert error.value.status_code == 409
        assert subject.fetch(WIDGETS, "a") == now
    assert version_of(subject.fetch(WIDGETS, "a")) != version_of(now)


@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
def test_who_an_object_is_can_not_be_changed(subject: Subject, field: str) -> None:
    created = subject.create(WIDGETS, "a")
    with pytest.raises(InvalidError):
        subject.merge(WIDGETS, "a", {"metadata": {field: "other"}})
    assert subject.fetch(WIDGETS, "a") == created


def test_what_the_server_gave_stays_whatever_a_merge_says(subject: Subject) -> None:
    created = subject.create(WIDGETS, "a")
    given = {"creationTimestamp": None, "generation": None, "uid": None}
    assert subject.merge(WIDGETS, "a", {"metadata": given}) == created


def test_a_uid_is_no_precondition_of_a_status_write(subject: Subject) -> None:
    subject.create(WIDGETS, "a")
    patch = {"metadata": {"uid": "other"}, "status": {"s": 1}}
    assert subject.merge(WIDGETS, "a", patch, subresource="status")["status"] == {"s": 1}


def test_of_eight_racing_writers_each_change_counts_once(subject: Subject) -> None:
    num_threads, num_rounds = 8, 5
    subject.create(CONFIG_MAPS, "a", data={"n": "0"})

    def add_one() -> None:
        while True:
            now = subject.fetch(CONFIG_MAPS, "a")
            number = int(now["data"]["n"]) + 1
            precondition = {"resourceVersion": version_of(now)}
            try:
                subject.merge(
                    CONFIG_MAPS, "a", {"metadata": precondition, "data": {"n": str(number)}}
                )
            except ConflictError:
                continue
            return

    with ThreadPoolExecutor(num_threads) as pool:
        for future in [pool.submit(add_one) for _ in range(num_threads * num_rounds)]:
            future.result()
    assert subject.fetch(CONFIG_MAPS, "a")["data"] == {"n": str(num_threads * num_rounds)}


def test_status_is_written_through_its_subresource_only(subject: Subject) -> None:
    created = subject.create(WIDGETS, "a", spec={"k": 1}, status={"s": 0})
    assert "status" not in created
    merged = subject.merge(WIDGETS, "a", {"spec": {"k": 2}, "status": {"s": 1}})
    assert "status" not in merged
    patch = {
        "metadata": {"labels": {"l": "v"}},
        "spec": {"k": 3},
        "status": {"s": 2},
    }
    merged = subject.merge(WIDGETS, "a", patch, subresource="status")
    assert merged["status"] == {"s": 2}
    assert merged["spec"] == {"k": 2}
    assert "labels" not in merged["metadata"]
    assert subject.merge(WIDGETS, "a", {"spec": {"k": 4}})["status"] == {"s": 2}


def test_a_kind_without_the_status_subresource_has_a_status_like_any_field(
    subject: Subject,
) -> None:
    assert subject.create(GADGETS, "a", status={"s": 0})["status"] == {"s": 0}
    assert subject.merge(GADGETS, "a", {"status": {"s": 1}})["status"] == {"s": 1}
    for resource in (GADGETS, CONFIG_MAPS):
        if resource == CONFIG_MAPS:
            subject.create(CONFIG_MAPS, "a")
        with pytest.raises(NotFoundError):
            subject.merge(resource, "a", {"status": {"s": 2}}, subresource="status")


def test_the_generation_counts_changes_of_what_is_wanted(subject: Subject) -> None:
    generations = [subject.create(WIDGETS, "a", spec={"k": 1})]
    generations.append(subject.merge(WIDGETS, "a", {"metadata": {"labels": {"l": "v"}}}))
    generations.append(subject.merge(WIDGETS, "a", {"status": {"s": 1}}, subresource="status"))
    generations.append(subject.merge(WIDGETS, "a", {"spec": {"k": 2}}))
    generations.append(subject.merge(WIDGETS, "a", {"metadata": {"generation": 9}}))
    assert [obj["metadata"]["generation"] for obj in generations] == [1, 1, 1, 2, 2]


def test_without_the_subresource_a_change_of_status_counts_too(subject: Subject) -> None:
    subject.create(GADGETS, "a", status={"s": 0})
    merged = subject.merge(GADGETS, "a", {"status": {"s": 1}})
    assert merged["metadata"]["generation"] == 2


def test_config_maps_and_leases_have_no_generation(subject: Subject) -> None:
    for resource in (CONFIG_MAPS, LEASES):
        assert "generation" not in subject.create(resource, "a")["metadata"]


def test_a_deleted_object_is_gone_and_its_name_is_free(subject: Subject) -> None:
    first = subject.create(CONFIG_MAPS, "a")
    subject.delete(CONFIG_MAPS, first)
    assert not subject.is_there(CONFIG_MAPS, "a")
    second = subject.create(CONFIG_MAPS, "a")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


def test_deleting_what_is_not_there_does_nothing(subject: Subject) -> None:
    created = subject.create(CONFIG_MAPS, "a")
    subject.delete(CONFIG_MAPS, created)
    subject.delete(CONFIG_MAPS, created)
    assert not subject.is_there(CONFIG_MAPS, "a")


def test_a_delete_never_takes_a_successor_of_that_name(subject: Subject) -> None:
    first = subject.create(CONFIG_MAPS, "a")
    subject.delete(CONFIG_MAPS, first)
    second = subject.create(CONFIG_MAPS, "a")
    with pytest.raises(ConflictError) as error:
        subject.delete(CONFIG_MAPS, first)
    assert error.value.status_code == 409
    assert subject.fetch(CONFIG_MAPS, "a") == second


def test_a_delete_for_an_old_version_is_a_conflict(subject: Subject) -> None:
    created = subject.create(CONFIG_MAPS, "a")
    merged = subject.merge(CONFIG_MAPS, "a", {"data": {"k": "v"}})
    with pytest.raises(ConflictError):
        subject.delete(CONFIG_MAPS, created, version=version_of(created))
    subject.delete(CONFIG_MAPS, created, version=version_of(merged))
    assert not subject.is_there(CONFIG_MAPS, "a")


def test_an_object_with_finalizers_waits_for_the_last_of_them(subject: Subject) -> None:
    finalizers = ["distillery.dev/one", "distillery.dev/two"]
    created = subject.create(WIDGETS, "a", spec={"k": 1}, finalizers=finalizers)
    subject.delete(WIDGETS, created)
    marked = subject.fetch(WIDGETS, "a")
    assert marked["metadata"]["deletionTimestamp"][-1] == "Z"
    assert marked["metadata"]["generation"] == 2
    assert version_of(marked) != version_of(created)
    subject.delete(WIDGETS, created)
    assert subject.fetch(WIDGETS, "a") == marked
    subject.merge(WIDGETS, "a", {"metadata": {"finalizers": finalizers[1:]}})
    assert subject.is_there(WIDGETS, "a")
    subject.merge(WIDGETS, "a", {"metadata": {"finalizers": []}})
    assert not subject.is_there(WIDGETS, "a")


def test_a_doomed_object_takes_no_new_finalizer_but_other_changes(subject: Subject) -> None:
    created = subject.create(WIDGETS, "a", finalizers=["distillery.dev/one"])
    subject.delete(WIDGETS, created)
    added = ["distillery.dev/one", "distillery.dev/two"]
    with pytest.raises(InvalidError):
        subject.merge(WIDGETS, "a", {"metadata": {"finalizers": added}})
    merged = subject.merge(WIDGETS, "a", {"status": {"s": 1}}, subresource="status")
    assert merged["status"] == {"s": 1}
    with pytest.raises(AlreadyExistsError):
        subject.create(WIDGETS, "a")
    subject.merge(WIDGETS, "a", {"metadata": {"finalizers": None}})


def test_a_deletion_can_not_be_taken_back(subject: Subject) -> None:
    created = subject.create(WIDGETS, "a", finalizers=["distillery.dev/one"])
    subject.delete(WIDGETS, created)
    marked = subject.fetch(WIDGETS, "a")
    merged = subject.merge(WIDGETS, "a", {"metadata": {"deletionTimestamp": None}})
    assert merged == marked
    subject.merge(WIDGETS, "a", {"metadata": {"finalizers": None}})


def test_what_an_object_owns_goes_with_it_generation_by_generation(subject: Subject) -> None:
    owner = subject.create(WIDGETS, "owner")
    child = subject.create(CONFIG_MAPS, "child", owners=[owner_of(owner, WIDGETS, controller=True)])
    subject.create(CONFIG_MAPS, "grandchild", owners=[owner_of(child, CONFIG_MAPS)])
    subject.create(CONFIG_MAPS, "stranger")
    subject.delete(WIDGETS, owner)
    subject.wait_until(lambda: subject.names(CONFIG_MAPS) == ["stranger"])


def test_an_object_goes_only_when_none_of_its_owners_is_left(subject: Subject) -> None:
    first, second = subject.create(WIDGETS, "first"), subject.create(WIDGETS, "second")
    owners = [owner_of(first, WIDGETS), owner_of(second, WIDGETS)]
    subject.create(CONFIG_MAPS, "shared", owners=owners)
    subject.create(CONFIG_MAPS, "firsts", owners=owners[:1])
    subject.delete(WIDGETS, first)
    subject.wait_until(lambda: subject.names(CONFIG_MAPS) == ["shared"])
    subject.delete(WIDGETS, second)
    subject.wait_until(lambda: subject.names(CONFIG_MAPS) == [])


def test_an_owner_of_that_name_with_another_uid_keeps_nothing_alive(subject: Subject) -> None:
    owner = subject.create(WIDGETS, "owner")
    stale = owner_of(owner, WIDGETS, uid="12345678-1234-4123-8123-123456789abc")
    subject.create(CONFIG_MAPS, "orphan", owners=[stale])
    subject.wait_until(lambda: subject.names(CONFIG_MAPS) == [])
    assert subject.is_there(WIDGETS, "owner")


def test_an_owned_object_with_a_finalizer_waits_for_it(subject: Subject) -> None:
    owner = subject.create(WIDGETS, "owner")
    owners = [owner_of(owner, WIDGETS)]
    subject.create(GADGETS, "child", owners=owners, finalizers=["distillery.dev/one"])
    subject.delete(WIDGETS, owner)
    subject.wait_until(lambda: "deletionTimestamp" in subject.fetch(GADGETS, "child")["metadata"])
    subject.merge(GADGETS, "child", {"metadata": {"finalizers": None}})
    subject.wait_until(lambda: not subject.is_there(GADGETS, "child"))


def test_a_namespace_takes_its_objects_along(subject: Subject) -> None:
    subject.create(WIDGETS, "a")
    subject.create(GADGETS, "held", finalizers=["distillery.dev/one"])
    place = subject.api.fetch(NAMESPACES, namespace="", name=subject.namespace)
    uid = place["metadata"]["uid"]
    subject.api.delete(NAMESPACES, namespace="", name=subject.namespace, uid=uid)
    subject.wait_until(lambda: not subject.is_there(WIDGETS, "a"))
    with pytest.raises(ForbiddenError):
        subject.create(CONFIG_MAPS, "late")
    subject.wait_until(lambda: "deletionTimestamp" in subject.fetch(GADGETS, "held")["metadata"])
    subject.merge(GADGETS, "held", {"metadata": {"finalizers": None}})

    def is_gone() -> bool:
        try:
            subject.api.fetch(NAMESPACES, namespace="", name=subject.namespace)
        except NotFoundError:
            return True
        return False

    subject.wait_until(is_gone)
    with pytest.raises(NotFoundError):
        subject.create(CONFIG_MAPS, "late")


def test_a_list_is_in_order_and_of_one_namespace_or_of_all(subject: Subject) -> None:
    for name in ("b", "a-1", "a.1", "c"):
        subject.create(WIDGETS, name)
    assert subject.names(WIDGETS) == ["a-1", "a.1", "b", "c"]
    everywhere = subject.api.list_page(WIDGETS).items
    places = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in everywhere]
    assert places == sorted(places)
    assert [name for place, name in places if place == subject.namespace] == subject.names(WIDGETS)


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        ("", ["bare", "red", "red-big", "sky"]),
        ("colour=red", ["red", "red-big"]),
        ("colour==red,size=big", ["red-big"]),
        ("colour!=red", ["bare", "sky"]),
        ("colour in (red, blue)", ["red", "red-big", "sky"]),
        ("colour in (red),size", ["red-big"]),
        ("colour notin (red)", ["bare", "sky"]),  # codespell:ignore notin
        ("size", ["red-big"]),
        ("!colour", ["bare"]),
        ("example.org/deep=x", ["sky"]),
        ("colour=", []),
    ],
)
def test_a_selector_picks_by_label(subject: Subject, labels: str, want: list[str]) -> None:
    subject.create(WIDGETS, "bare")
    subject.create(WIDGETS, "red", labels={"colour": "red"})
    subject.create(WIDGETS, "red-big", labels={"colour": "red", "size": "big"})
    subject.create(WIDGETS, "sky", labels={"colour": "blue", "example.org/deep": "x"})
    assert subject.names(WIDGETS, labels=labels) == want


def test_what_is_no_selector_is_invalid(subject: Subject) -> None:
    with pytest.raises(InvalidError):
        subject.names(WIDGETS, labels="colour in red")


def test_pages_follow_one_another_at_one_version(subject: Subject) -> None:
    for name in "abcde":
        subject.create(WIDGETS, name)
    place, versions, found = "", [], []
    while True:
        page = subject.api.list_page(WIDGETS, namespace=subject.namespace, limit=2, next=place)
        versions.append(page.resource_version)
        found.append([item["metadata"]["name"] for item in page.items])
        place = page.next
        if len(found) == 1:
            subject.delete(WIDGETS, subject.fetch(WIDGETS, "d"))
            subject.create(WIDGETS, "f")
            subject.merge(WIDGETS, "e", {"spec": {"k": "late"}})
        if not place:
            break
    assert found == [["a", "b"], ["c", "d"], ["e"]]
    assert len(set(versions)) == 1
    assert "spec" not in page.items[0]
    assert subject.names(WIDGETS) == ["a", "b", "c", "e", "f"]


def test_a_page_that_holds_all_is_the_last(subject: Subject) -> None:
    for name in "ab":
        subject.create(WIDGETS, name)
    page = subject.api.list_page(WIDGETS, namespace=subject.namespace, limit=2)
    assert (len(page.items), page.next) == (2, "")


def test_only_lists_of_custom_kinds_name_the_kind_of_each_item(subject: Subject) -> None:
    for resource, want in ((WIDGETS, "Widget"), (CONFIG_MAPS, None)):
        subject.create(resource, "a")
        page = subject.api.list_page(resource, namespace=subject.namespace)
        assert {item.get("kind") for item in page.items} == {want}
