"""The fence: no write without the lease, and none for longer than it lasts."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from controller.kube.api import WriteApi
from controller.kube.faults import LeaseLostError
from controller.kube.resources import CONFIG_MAPS
from controller.runtime.fencing import FencedApi, FencedWriteApi
from tests.doubles.api_server import ApiServer
from tests.doubles.timed_api import TimedServer

BODY = {"metadata": {"namespace": "default", "name": "m"}, "data": {"a": "1"}}


@dataclass
class Lease:
    """A lease with so much left."""

    left_s: float

    def remaining_s(self) -> float:
        return self.left_s


def merge(api: WriteApi) -> None:
    api.merge(CONFIG_MAPS, namespace="default", name="m", patch={"data": {"a": "2"}})


def uid_of(server: ApiServer) -> str:
    found = server.fetch(CONFIG_MAPS, namespace="default", name="m")
    return str(found["metadata"]["uid"])


def test_holder_writes_within_what_remains_of_the_lease() -> None:
    timed = TimedServer(ApiServer())
    lease = Lease(7.5)
    api = FencedWriteApi(timed, lease=lease)
    api.create(CONFIG_MAPS, BODY)
    lease.left_s = 5.0
    merge(api)
    assert timed.server.objects(CONFIG_MAPS)[0]["data"] == {"a": "2"}
    lease.left_s = 2.5
    api.delete(CONFIG_MAPS, namespace="default", name="m", uid=uid_of(timed.server))
    assert timed.server.objects(CONFIG_MAPS) == []
    assert timed.timeouts == [7.5, 5.0, 2.5]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda api: api.create(CONFIG_MAPS, BODY), id="create"),
        pytest.param(merge, id="merge"),
        pytest.param(
            lambda api: api.delete(CONFIG_MAPS, namespace="default", name="m", uid="u"), id="delete"
        ),
    ],
)
@pytest.mark.parametrize(("left_s", "want_s"), [(0.0, "0.0"), (-50.0, "50.0")])
def test_nothing_is_written_without_the_lease(
    write: Callable[[WriteApi], object], left_s: float, want_s: str
) -> None:
    timed = TimedServer(ApiServer())
    timed.server.create(CONFIG_MAPS, BODY)
    before = timed.server.objects(CONFIG_MAPS)
    with pytest.raises(LeaseLostError) as caught:
        write(FencedWriteApi(timed, lease=Lease(left_s)))
    assert caught.value.message == (
        f"write: needs the lease, got one that ended {want_s} s ago; only the leader writes"
    )
    assert (caught.value.reason, caught.value.delay_s) == ("LeaseLost", 2.0)
    assert timed.server.objects(CONFIG_MAPS) == before
    assert timed.timeouts == []


def test_lease_that_was_never_held_is_called_so() -> None:
    want = "write: needs the lease, got one that isn't held here; only the leader writes"
    with pytest.raises(LeaseLostError, match=want):
        merge(FencedWriteApi(TimedServer(ApiServer()), lease=Lease(float("-inf"))))


def test_reads_need_no_lease() -> None:
    server = ApiServer()
    start = server.version
    server.create(CONFIG_MAPS, BODY)
    api = FencedApi(TimedServer(server), lease=Lease(0.0))
    assert api.fetch(CONFIG_MAPS, namespace="default", name="m")["data"] == {"a": "1"}
    page = api.list_page(CONFIG_MAPS, namespace="default", limit=10)
    assert [item["metadata"]["name"] for item in page.items] == ["m"]
    watch = api.watch(CONFIG_MAPS, resource_version=start, timeout_s=0, silence_s=1)
    with watch as events:
        assert next(events).object["metadata"]["name"] == "m"
    with pytest.raises(LeaseLostError):
        merge(api)
