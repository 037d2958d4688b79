"""An informer whose real API server goes away and comes back: nothing that changed is missed."""

import random
import threading
import time
from collections.abc import Callable

import pytest

from controller.kube.http import HttpApi
from controller.kube.resources import CONFIG_MAPS
from controller.runtime.cache import Cache, key_of
from controller.runtime.clock import SystemClock
from controller.runtime.informer import Informer, Timing
from controller.runtime.listing import Watched
from tests.controlplane.plane import ControlPlane

pytestmark = pytest.mark.controlplane

DEADLINE_S = 120.0
QUICK = Timing(watch_s=20.0, min_delay_s=0.05, max_delay_s=0.2)
NAMES = ("kept", "deleted", "changed")


def wait_until(holds: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)


def change(api: HttpApi, namespace: str) -> None:
    """A change of each kind."""
    found = api.fetch(CONFIG_MAPS, namespace=namespace, name="deleted")
    api.delete(CONFIG_MAPS, namespace=namespace, name="deleted", uid=found["metadata"]["uid"])
    api.merge(CONFIG_MAPS, namespace=namespace, name="changed", patch={"data": {"n": "2"}})
    api.create(CONFIG_MAPS, {"metadata": {"name": "new", "namespace": namespace}})


def versions(objects: list[dict[str, object]]) -> dict[str, object]:
    """Key to resourceVersion."""
    return {key_of(obj): obj["metadata"]["resourceVersion"] for obj in objects}  # type: ignore[index]


def test_an_informer_survives_an_outage_and_holds_the_truth_after_it(
    control_plane: ControlPlane,
) -> None:
    api, namespace = control_plane.admin(), control_plane.new_namespace()
    for name in NAMES:
        body = {"metadata": {"name": name, "namespace": namespace}, "data": {"n": "1"}}
        api.create(CONFIG_MAPS, body)
    informer = Informer(
        api,
        Watched(resource=CONFIG_MAPS, namespace=namespace),
        cache=Cache(),
        clock=SystemClock(),
        timing=QUICK,
        rng=random.Random(1),
    )

    def is_true() -> bool:
        listed = api.list_page(CONFIG_MAPS, namespace=namespace).items
        return versions(informer.cache.objects()) == versions(listed)

    informer.start()
    try:
        assert informer.wait_synced(DEADLINE_S)
        wait_until(is_true, what="the cache is not filled")
        control_plane.stop_api_server()
        try:
            wait_until(lambda: informer.stats.num_failures >= 3, what="nothing fails")
            assert informer.stats.last_error.startswith(
                f"GET /api/v1/namespaces/{namespace}/configmaps: no answer from the API server, got "
            )
            assert set(NAMES) <= {obj["metadata"]["name"] for obj in informer.cache.objects()}
        finally:
            control_plane.start_api_server()
        change(api, namespace)
        wait_until(is_true, what="the cache stays behind")
        names = {obj["metadata"]["name"] for obj in informer.cache.objects()}
        assert names >= {"kept", "changed", "new"}
        assert "deleted" not in names
        wait_until(lambda: informer.stats.last_error == "", what="it still complains")
    finally:
        assert informer.stop(timeout_s=DEADLINE_S)
