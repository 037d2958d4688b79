"""The controller isn't ready on a CRD that is missing or too old, and says why."""

import pytest

from controller.kube.faults import ForbiddenError
from controller.operator.schema import CRDS, SchemaWatch
from tests.doubles.api_kinds import ServedKind
from tests.doubles.api_server import ApiServer

NAME = "distillationjobs.distillery.dev"


def make_server(annotations: dict[str, str] | None) -> ApiServer:
    server = ApiServer()
    server.serve(ServedKind(resource=CRDS, is_namespaced=False))
    if annotations is not None:
        server.create(CRDS, {"metadata": {"name": NAME, "annotations": annotations}})
    return server


@pytest.mark.parametrize(
    ("annotations", "want"),
    [
        ({"distillery.dev/schema-revision": "1"}, ""),
        ({"distillery.dev/schema-revision": "17"}, ""),
        ({}, "is too old, got revision 0 and 1 is needed; apply manifests/crd with kubectl"),
        ({"distillery.dev/schema-revision": "x"}, "is too old, got revision x and 1 is needed"),
        (None, "is not installed; apply manifests/crd with kubectl apply --server-side"),
    ],
    ids=["new enough", "newer", "without", "nonsense", "not there"],
)
def test_what_is_wrong_with_the_crd_is_told(annotations: dict[str, str] | None, want: str) -> None:
    problem = SchemaWatch(make_server(annotations)).look()
    assert problem == want if not want else want in problem


def test_who_may_not_look_goes_on_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(None)
    server.fault = lambda *_: ForbiddenError("no", reason="Forbidden", status_code=403)
    assert SchemaWatch(server).look() == ""
    assert "its revision is not checked" in caplog.text
