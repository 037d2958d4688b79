"""The API servers under test: the one in memory, and a real one started once a session.

``control_plane`` is a fixture of ``tests.controlplane.fixtures``; where no control plane can be
had, the cases on the real one skip.
"""

import pytest

from controller.kube.api import KubeApi
from tests.contract.kube.subjects import Subject, make_memory_subject, make_real_subject
from tests.doubles.api_server import ApiServer


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.controlplane)])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        return make_memory_subject(ApiServer())
    control_plane = request.getfixturevalue("control_plane")
    return make_real_subject(control_plane.admin(), control_plane.new_namespace())


@pytest.fixture
def api(subject: Subject) -> KubeApi:
    return subject.api
