"""Requests as they go out, and objects as they come back."""

from typing import Any

import pytest

from controller.kube.api import Page
from controller.kube.faults import ConflictError, ForbiddenError, UnreachableError
from controller.kube.http import HttpApi
from controller.kube.resources import CONFIG_MAPS, DISTILLATION_JOBS, PODS, RAY_JOBS, Resource
from tests.unit.kube.scripted_api import Asked, ScriptedApi, Wire, make_status

NAMESPACES = Resource(group="", version="v1", plural="namespaces", kind="Namespace")
POD = {"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "7"}, "odd": [None, 1.5, "ü"]}
RAY_PATH = "/apis/ray.io/v1/namespaces/ns/rayjobs"


def test_an_object_comes_back_just_as_the_server_sent_it(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(200, POD)
    assert api.fetch(PODS, namespace="ns", name="a") == POD
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/api/v1/namespaces/ns/pods/a", {})
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["User-Agent"] == "distillery-controller"
    assert "Authorization" not in asked.headers


def test_a_page_tells_where_the_next_begins(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(200, {"metadata": {"resourceVersion": "9", "continue": "c"}, "items": [POD]})
    page = api.list_page(PODS, namespace="ns", labels="a=b,c", limit=2, next="x&y")
    assert page == Page(items=[POD], resource_version="9", next="c")
    want = {"limit": "2", "labelSelector": "a=b,c", "continue": "x&y"}
    assert (server.asked[0].path, server.asked[0].query) == ("/api/v1/namespaces/ns/pods", want)


def test_the_last_page_of_all_namespaces_may_be_empty(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(200, {"metadata": {"resourceVersion": "9"}, "items": None})
    assert api.list_page(RAY_JOBS) == Page(items=[], resource_version="9", next="")
    assert (server.asked[0].path, server.asked[0].query) == (
        "/apis/ray.io/v1/rayjobs",
        {"limit": "500"},
    )


@pytest.mark.parametrize(
    ("resource", "metadata", "want_path", "want_kind"),
    [
        pytest.param(RAY_JOBS, {"namespace": "ns"}, RAY_PATH, ("ray.io/v1", "RayJob"), id="custom"),
        pytest.param(
            CONFIG_MAPS,
            {"namespace": "ns"},
            "/api/v1/namespaces/ns/configmaps",
            ("v1", "ConfigMap"),
            id="core",
        ),
        pytest.param(
            NAMESPACES, {}, "/api/v1/namespaces", ("v1", "Namespace"), id="cluster-scoped"
        ),
    ],
)
def test_an_object_is_created_at_its_path_with_its_kind(
    server: ScriptedApi,
    api: HttpApi,
    resource: Resource,
    metadata: dict[str, Any],
    want_path: str,
    want_kind: tuple[str, str],
) -> None:
    server.answers(201, {"made": True})
    assert api.create(resource, {"metadata": {"name": "a", **metadata}}) == {"made": True}
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", want_path)
    assert asked.headers["Content-Type"] == "application/json"
    kind = {"apiVersion": want_kind[0], "kind": want_kind[1]}
    assert asked.document == {**kind, "metadata": {"name": "a", **metadata}}


def test_a_status_is_merged_at_its_subresource(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(200, POD)
    patch = {"metadata": {"resourceVersion": "7"}, "status": {"a": None}}
    done = api.merge(DISTILLATION_JOBS, namespace="ns", name="a", patch=patch, subresource="status")
    (asked,) = server.asked
    assert done == POD
    path = "/apis/distillery.dev/v1alpha1/namespaces/ns/distillationjobs/a/status"
    assert (asked.method, asked.path, asked.document) == ("PATCH", path, patch)
    assert asked.headers["Content-Type"] == "application/merge-patch+json"


@pytest.mark.parametrize(
    ("version", "want"),
    [
        ("", {"uid": "u"}),
        ("7", {"uid": "u", "resourceVersion": "7"}),
    ],
    ids=["uid alone", "uid and version"],
)
def test_what_is_deleted_is_one_object_with_all_it_owns(
    server: ScriptedApi, api: HttpApi, version: str, want: dict[str, str]
) -> None:
    server.answers(200, {"kind": "Status", "status": "Success"})
    api.delete(RAY_JOBS, namespace="ns", name="a", uid="u", version=version)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("DELETE", f"{RAY_PATH}/a")
    assert asked.document == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": want,
        "propagationPolicy": "Background",
    }


def test_deleting_what_is_gone_is_no_failure(server: ScriptedApi, api: HttpApi) -> None:
    server.refuses(404, "NotFound")
    api.delete(RAY_JOBS, namespace="ns", name="a", uid="u")
    assert len(server.asked) == 1


def test_another_object_of_the_same_name_is_not_deleted(server: ScriptedApi, api: HttpApi) -> None:
    server.refuses(409, "Conflict", "the UID in the precondition is another")
    with pytest.raises(ConflictError, match="'the UID in the precondition is another'"):
        api.delete(RAY_JOBS, namespace="ns", name="a", uid="u")


def test_an_object_is_applied_in_the_name_of_its_manager(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(200, POD)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
    assert api.apply(NAMESPACES, body, manager="m") == POD
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.document) == ("PATCH", "/api/v1/namespaces/a", body)
    assert asked.query == {"fieldManager": "m", "force": "true"}
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"


def test_requests_share_a_connection(server: ScriptedApi, api: HttpApi) -> None:
    ports: list[int] = []

    def play(_: Asked, wire: Wire) -> None:
        ports.append(wire._handler.client_address[1])
        wire.send(404 if len(ports) == 2 else 200, make_status(404, "NotFound"))

    server.plays.append(play)
    api.fetch_text("/readyz")
    api.delete(RAY_JOBS, namespace="ns", name="a", uid="u")
    api.fetch_text("/readyz")
    assert len(ports) == 3
    assert len(set(ports)) == 1


def test_a_page_of_text_is_read_as_it_is(server: ScriptedApi, api: HttpApi) -> None:
    server.answers(200, b"ok")
    assert api.fetch_text("/readyz") == "ok"
    assert server.asked[0].path == "/readyz"


def test_a_log_comes_piece_by_piece(server: ScriptedApi, api: HttpApi) -> None:
    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        wire.chunk(b"one\n")
        wire.chunk(b"two\n")
        wire.end_stream()

    server.plays.append(play)
    pieces = api.stream_log(namespace="ns", pod="p", container="c", follow=True)
    assert b"".join(pieces) == b"one\ntwo\n"
    assert server.asked[0].path == "/api/v1/namespaces/ns/pods/p/log"
    assert server.asked[0].query == {"container": "c", "follow": "true"}


def test_a_followed_log_may_be_silent_longer_than_a_request_may_take(
    server: ScriptedApi, api: HttpApi
) -> None:
    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        wire.chunk(b"one\n")
        wire.over.wait(0.4)
        wire.chunk(b"two\n")
        wire.end_stream()

    server.plays.append(play)
    short = api.with_timeout(0.1)
    assert (
        b"".join(short.stream_log(namespace="ns", pod="p", container="c", follow=True))
        == b"one\ntwo\n"
    )
    with pytest.raises(UnreachableError, match="got ReadTimeoutError; tried again"):
        list(short.stream_log(namespace="ns", pod="p", container="c", follow=False))


def test_a_cut_log_says_so(server: ScriptedApi, api: HttpApi) -> None:
    def play(_: Asked, wire: Wire) -> None:
        wire.begin_stream()
        wire.chunk(b"one\n")
        wire.cut()

    server.plays.append(play)
    pieces = api.stream_log(namespace="ns", pod="p", container="c", follow=True)
    assert next(pieces) == b"one\n"
    with pytest.raises(UnreachableError, match=r"^GET /api/v1/namespaces/ns/pods/p/log: no answer"):
        next(pieces)


def test_a_refused_log_says_why(server: ScriptedApi, api: HttpApi) -> None:
    server.refuses(403, "Forbidden", "no logs for you")
    with pytest.raises(ForbiddenError, match="'no logs for you'"):
        list(api.stream_log(namespace="ns", pod="p", container="c", follow=False))
