"""What is frozen for a job's attempts, and what moves it on."""

from typing import Any

from controller.jobs.views import UPGRADE, JobView, read_job
from controller.operator.runs import current_runtime
from distillery.status import RuntimeStatus
from tests.operator_world import make_resource

OLD = RuntimeStatus(image="ray:old", ray_version="2.59.0", config_version=1)
NEW = RuntimeStatus(image="ray:new", ray_version="2.60.0", config_version=2)


def view_of(*, recorded: RuntimeStatus | None, upgrade: str = "", **changes: Any) -> JobView:
    document = make_resource(**changes)
    document["metadata"] |= {"uid": "u", "resourceVersion": "1", "generation": 1}
    if upgrade:
        document["metadata"]["annotations"] = {UPGRADE: upgrade}
    if recorded is not None:
        document["status"] = {"runtime": recorded.dump()}
    return read_job(document)


def runtime_of(view: JobView) -> RuntimeStatus:
    assert view.job is not None
    return current_runtime(view, view.job, NEW)


def test_a_job_keeps_what_it_was_accepted_with() -> None:
    assert runtime_of(view_of(recorded=OLD)) == OLD


def test_an_upgrade_moves_it_to_the_installations_present_image_once() -> None:
    moved = runtime_of(view_of(recorded=OLD, upgrade="2026-11-24T00:00:00+00:00"))
    assert (moved.image, moved.ray_version, moved.config_version) == ("ray:new", "2.60.0", 2)
    assert moved.run == OLD.run
    # Later installations are another request's.
    kept = moved.model_copy(update={"image": "ray:kept"})
    assert runtime_of(view_of(recorded=kept, upgrade=moved.upgrade)) == kept


def test_another_request_moves_it_again() -> None:
    first = OLD.model_copy(update={"upgrade": "first"})
    assert runtime_of(view_of(recorded=first, upgrade="second")).image == "ray:new"


def test_an_upgrade_asked_for_before_the_job_began_is_done_with() -> None:
    begun = runtime_of(view_of(recorded=None, upgrade="early"))
    assert (begun.image, begun.upgrade) == ("ray:new", "early")
    assert runtime_of(view_of(recorded=begun, upgrade="early")) == begun


def test_an_image_the_job_names_itself_stays() -> None:
    view = view_of(recorded=OLD, upgrade="now", runtime__image="mine:1")
    assert runtime_of(view).image == "mine:1"


def test_a_request_of_any_length_fits_the_status() -> None:
    view = view_of(recorded=OLD, upgrade="x" * 500)
    moved = runtime_of(view)
    assert len(moved.upgrade) == 64
    assert runtime_of(view_of(recorded=moved, upgrade="x" * 500)) == moved
