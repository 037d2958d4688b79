"""``distillery logs``: which step's, from which pod, and where it is once the pods are gone."""

import os
from typing import Any

import pytest

from controller.kube.faults import InvalidError, NotFoundError
from tests.unit.controller.cluster_jobs import (
    NAMESPACE,
    RUNNING_TRAIN,
    Said,
    World,
    accepted,
    make_stage,
    make_world,
)


@pytest.fixture
def world() -> World:
    return make_world()


def test_the_log_of_the_running_step_comes_from_its_newest_pod(world: World) -> None:
    stages = [make_stage("prepare", "Done"), make_stage("generate", "Running")]
    world.apply(status={"conditions": accepted(), "stages": stages})
    world.add_pod("old", ray_job="sums-generate-1", log=[b"old"])
    world.add_pod("other", ray_job="sums-prepare-1", log=[b"other"])
    text = "eins\nzw\u00f6lf\n".encode()
    world.add_pod("young", ray_job="sums-generate-1", log=[text[:8], text[8:]])
    assert world.run("logs", "sums") == Said(code=0, out="eins\nzw\u00f6lf\n")
    assert world.run("logs", "sums", "-f").code == 0
    assert world.run("logs", "sums", "--step", "prepare").out == "other"
    assert world.server.asked == [
        (NAMESPACE, "young", "submitter", False),
        (NAMESPACE, "young", "submitter", True),
        (NAMESPACE, "other", "submitter", False),
    ]


def test_bytes_that_are_no_text_are_shown_as_such(world: World) -> None:
    world.apply(status={"conditions": accepted(), "stages": [make_stage("prepare", "Running")]})
    world.add_pod("p", ray_job="sums-prepare-1", log=[b"a\xff\nb\xc3"])
    assert world.run("logs", "sums").out == "a\ufffd\nb\ufffd"


@pytest.mark.parametrize(
    ("states", "want"),
    [
        (("Done", "Running", "BackingOff", "Failed"), "generate"),
        (("Done", "Failed", "BackingOff", "Done"), "curate"),
        (("Done", "Failed", "Done", "Done"), "generate"),
        (("Done", "Done", "Done", "Done"), "train-small"),
        (("Done", "Done", "Waiting", "Waiting"), "generate"),
        (("Waiting", "Waiting", "Waiting", "Waiting"), "train-small"),
    ],
    ids=["runs", "is tried again", "has failed", "began last", "of this run", "of runs before"],
)
def test_without_a_name_the_step_that_matters_speaks(
    world: World, states: tuple[str, ...], want: str
) -> None:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("prepare", {}),
        ("generate", {}),
        ("curate", {}),
        ("train", {"student": "small"}),
    ]
    stages = [
        make_stage(kind, state, **more) for (kind, more), state in zip(kinds, states, strict=True)
    ]
    stages.append(make_stage("evaluate", "Waiting", student="small", attempt=0))
    world.apply(status={"conditions": accepted(), "stages": stages})
    for stage in stages:
        name = stage["rayJobName"]
        world.add_pod(name, ray_job=name, log=[name.encode()])
    assert world.run("logs", "sums").out == f"sums-{want}-1"


def test_a_step_that_has_not_begun_is_named_with_those_that_have(world: World) -> None:
    waiting = make_stage("curate", "Waiting", attempt=0)
    world.apply(status={"conditions": accepted(), "stages": [waiting]})
    want = "default/sums: no step has begun yet; see distillery status sums"
    assert world.refusal("logs", "sums") == (2, want)
    want = "--step: no such step has begun, got 'curate'; begun are none"
    assert world.refusal("logs", "sums", "--step", "curate") == (2, want)
    world.set_status(stages=[make_stage("prepare", "Done"), RUNNING_TRAIN, waiting])
    want = "--step: no such step has begun, got 'curate'; begun are prepare, train-small"
    assert world.refusal("logs", "sums", "--step", "curate") == (2, want)


def test_a_driver_that_has_not_begun_has_no_log_yet(world: World) -> None:
    world.apply(status={"conditions": accepted(), "stages": [RUNNING_TRAIN]})
    want = "train-small: its driver has not begun, there is no log yet; see distillery status sums -n default"
    assert world.refusal("logs", "sums") == (1, want)
    world.add_pod("unplaced", ray_job="sums-train-small-1", log=[], phase="Pending")
    assert world.refusal("logs", "sums") == (1, want)
    waits = InvalidError("GET /log: is refused, got 400 'waiting'", reason="Invalid")
    world.add_pod("p", ray_job="sums-train-small-1", log=[waits])
    assert world.refusal("logs", "sums") == (1, want)


def test_once_the_pods_are_gone_the_place_in_storage_is_told(world: World) -> None:
    failed = make_stage("train", "Failed", student="small", attempt=3, run=2)
    world.apply(status={"conditions": accepted(), "stages": [failed]})
    want = "train-small: its pods are gone; its logs are below s3://bucket/store/jobs/default/sums/train-small/attempts/2-3/logs"
    assert world.refusal("logs", "sums") == (1, want)
    gone = NotFoundError("GET /log: is refused, got 404 'pod'", reason="NotFound")
    world.add_pod("p", ray_job="sums-train-small-1", log=[gone])
    assert world.refusal("logs", "sums") == (1, want)


def test_a_log_on_anothers_ray_cluster_is_on_its_dashboard(world: World) -> None:
    runtime = {
        "rayAddress": "http://ray-head:8265",
        "rayTokenSecretRef": {"name": "ray", "key": "token"},
    }
    world.apply(status={"conditions": accepted(), "stages": [RUNNING_TRAIN]}, runtime=runtime)
    want = "train-small: its log is on another's Ray cluster; see http://ray-head:8265/#/jobs/sums-train-small-1"
    assert world.refusal("logs", "sums") == (1, want)


def test_ctrl_c_ends_a_followed_log_in_good_order(world: World) -> None:
    world.apply(status={"conditions": accepted(), "stages": [RUNNING_TRAIN]})
    world.add_pod("p", ray_job="sums-train-small-1", log=[b"one\n", KeyboardInterrupt()])
    assert world.run("logs", "sums", "-f") == Said(code=130, out="one\n")


def test_a_reader_that_has_gone_ends_a_log_in_good_order(world: World) -> None:
    world.apply(status={"conditions": accepted(), "stages": [RUNNING_TRAIN]})
    world.add_pod("p", ray_job="sums-train-small-1", log=[b"one\n", b"two\n"])
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        assert world.run("logs", "sums", out=out) == Said(code=0, out="")
