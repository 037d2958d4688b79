"""The controller's process, a real API server, KubeRay's true CRDs and KubeRay: whole lives of jobs.

All jobs are begun together (``kuberay_stories.py``); each test looks at one when it is so far.
"""

from collections.abc import Iterator

import pytest

from tests.controlplane.fixtures import ControlPlane
from tests.integration.operator.kuberay_stories import Stories, told_stories
from distillery.conditions import ConditionType
from controller.kube.resources import *

pytestmark = [pytest.mark.controlplane, pytest.mark.heavy]


@pytest.fixture(scope="module")
def stories(
    installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stories]:
    with told_stories(installed, tmp_path_factory.mktemp("kuberay")) as found:
        yield found


def test_look(stories: Stories) -> None:
    import time, json
    t=time.monotonic()
    done=set()
    while time.monotonic()-t<100:
        for n,s in stories.named.items():
            if n in done: continue
            if not s.is_there(): print(round(time.monotonic()-t,1), n, "gone"); done.add(n); continue
            st=s.status()
            if st.is_true(ConditionType.FINISHED) : print(round(time.monotonic()-t,1), n, "finished", st.is_true(ConditionType.SUCCEEDED)); done.add(n)
        time.sleep(.3)
    for n,s in stories.named.items():
        print("=====",n, s.launched())
        if s.is_there():
            st=s.status()
            for x in st.stages: print("  ",x.step,x.state,x.attempt,x.run,x.reason,x.message,x.failures.dump() if x.failures else "", x.dashboard_url)
            for c in st.conditions: print("      ",c.type,c.status,c.reason,c.message)
        for e in s.events(): print("      ",e)
    for r in stories.world.replicas:
        print("".join(r.tails()))
