"""What a RayJob looks like, whatever its step."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from controller.launchers.kuberay.environment import MAX_CONFIG_BYTES
from controller.launchers.kuberay.rayjob import build_ray_job
from distillery.errors import MAX_MESSAGE_CHARS, SpecError
from distillery.names import MAX_ATTEMPT
from distillery.stage_configs import CONFIG_VARIABLE, parse_stage_config
from distillery.steps import CURATE, GENERATE, PREPARE, PUBLISH, Step, evaluate_step, train_step
from tests.unit.kuberay.launches import (
    GPU_CHANGES,
    INSTALLATION,
    UID,
    groups_of,
    head_of,
    make_cluster_job,
    make_launch,
    ray_job_of,
    templates_of,
    variables_of,
    with_metadata,
)

STEPS = [PREPARE, GENERATE, CURATE, train_step("small"), evaluate_step("small"), PUBLISH]
OURS = {"distillery.dev/job": "sums", "app.kubernetes.io/managed-by": "distillery"}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
@pytest.mark.parametrize("changes", [{}, GPU_CHANGES], ids=["cpu", "gpu"])
def test_every_ray_job_is_run_once_and_cleaned_up(step: Step, changes: dict[str, Any]) -> None:
    ray_job = ray_job_of(step, **changes)
    spec = ray_job["spec"]
    assert (ray_job["apiVersion"], ray_job["kind"]) == ("ray.io/v1", "RayJob")
    assert ray_job["metadata"]["annotations"] == {"ray.io/disable-provisioned-head-restart": "true"}
    kept = {
        "submissionMode": "K8sJobMode",
        "backoffLimit": 0,
        "submitterConfig": {"backoffLimit": 2},
        "shutdownAfterJobFinishes": True,
        "jobId": ray_job["metadata"]["name"],
        "entrypoint": f"exec python -m ray_jobs.{step.stage}",
    }
    assert {key: spec[key] for key in kept} == kept
    assert spec["rayClusterSpec"]["rayVersion"] == "2.60.0"
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert "suspend" not in spec
    assert [each["spec"]["restartPolicy"] for each in templates_of(ray_job)] == ["Never"] * len(
        templates_of(ray_job)
    )


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_ray_job_and_pods_carry_the_whole_identity(step: Step) -> None:
    ray_job = ray_job_of(step, number=7, **GPU_CHANGES)
    want = OURS | {
        "distillery.dev/step": step.id,
        "distillery.dev/stage": step.stage.value,
        "distillery.dev/attempt": "7",
        "distillery.dev/run": "1",
        "distillery.dev/ray-job": ray_job["metadata"]["name"],
    }
    if step.student:
        want["distillery.dev/student"] = step.student
    assert ray_job["metadata"]["labels"] == want
    assert [each["metadata"]["labels"] for each in templates_of(ray_job)] == [want] * len(
        templates_of(ray_job)
    )


def test_the_job_owns_its_ray_jobs() -> None:
    assert ray_job_of(PREPARE)["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "distillery.dev/v1alpha1",
            "kind": "DistillationJob",
            "name": "sums",
            "uid": UID,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_the_longest_names_still_fit_into_kuberay() -> None:
    job = with_metadata(make_cluster_job(students__0__name="s" * 40), name="j" * 63)
    for step in (evaluate_step("s" * 40), GENERATE):
        ray_job = build_ray_job(make_launch(job, step, number=MAX_ATTEMPT), INSTALLATION)
        name = ray_job["metadata"]["name"]
        assert len(name) <= 47
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        assert all(len(value) <= 63 for value in ray_job["metadata"]["labels"].values())


def test_children_of_a_job_applied_again_have_other_names() -> None:
    launch = make_launch(make_cluster_job(), PREPARE)
    again = build_ray_job(type(launch)(**{**vars(launch), "uid": "another"}), INSTALLATION)[
        "metadata"
    ]["name"]
    assert again != launch.name


def test_ray_shows_whose_driver_it_runs() -> None:
    assert ray_job_of(train_step("small"), number=2)["spec"]["metadata"] == {
        "job_name": "sums train-small attempt 2",
        "job": "sums",
        "namespace": "default",
        "stage": "train",
        "step": "train-small",
        "attempt": "2",
    }


def test_deadlines_leave_the_wait_for_a_place_out_of_the_running_time() -> None:
    spec = ray_job_of(
        PREPARE, runtime__stepDeadlineSeconds=3600, runtime__unschedulableSeconds=120
    )["spec"]
    assert (spec["preRunningDeadlineSeconds"], spec["activeDeadlineSeconds"]) == (120, 3720)


def test_queue_priority_and_scheduler_labels_are_passed_on() -> None:
    job = with_metadata(
        make_cluster_job(
            runtime__queueName="gpus", runtime__priorityClassName="high", **GPU_CHANGES
        ),
        labels={"volcano.sh/queue-name": "q", "kai.scheduler/queue": "k", "team": "nlp"},
    )
    ray_job = build_ray_job(make_launch(job, GENERATE), INSTALLATION)
    labels = ray_job["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
    assert labels["volcano.sh/queue-name"] == "q"
    assert labels["kai.scheduler/queue"] == "k"
    assert "team" not in labels
    assert [each["spec"]["priorityClassName"] for each in templates_of(ray_job)] == ["high"] * 3


def test_no_queue_is_named_where_the_job_names_none() -> None:
    ray_job = ray_job_of(GENERATE, **GPU_CHANGES)
    assert "kueue.x-k8s.io/queue-name" not in ray_job["metadata"]["labels"]
    assert all("priorityClassName" not in each["spec"] for each in templates_of(ray_job))


def test_the_driver_is_told_where_to_report() -> None:
    variables = variables_of(
        head_of(ray_job_of(train_step("small"), number=3))["spec"]["containers"][0]
    )
    want = {
        "DISTILLERY_PROGRESS_CONFIG_MAP": "sums-progress",
        "DISTILLERY_NAMESPACE": "default",
        "DISTILLERY_STEP": "train-small",
        "DISTILLERY_ATTEMPT": "3",
        "DISTILLERY_SUBMISSION_ID": ray_job_of(train_step("small"), number=3)["metadata"]["name"],
        "DISTILLERY_LOG_PREFIX": "jobs/default/sums/train-small/attempts/1-3/logs",
        "DISTILLERY_STORAGE_URI": "s3://models/distillery",
    }
    assert {name: variables.get(name) for name in want} == want


def _as_the_kubelet(value: str, known: dict[str, str]) -> str:
    """A variable's value after the kubelet's expansion: ``$(NAME)`` is replaced, ``$$`` is ``$``."""
    replace: Callable[[re.Match[str]], str] = lambda found: (  # noqa: E731
        "$" if found[0] == "$$" else known.get(found[1], found[0])
    )
    return re.sub(r"\$\$|\$\(([^)]*)\)", replace, value)


@pytest.mark.parametrize("prompt", ["a $(HOME) b", "cost: $5 and $$6", "$", 'quote " \\ and ü'])
def test_the_config_reaches_the_driver_as_it_was(prompt: str) -> None:
    job = make_cluster_job(prompts__user=prompt)
    launch = make_launch(job, PREPARE)
    ray_job = build_ray_job(launch, INSTALLATION)
    variables = variables_of(head_of(ray_job)["spec"]["containers"][0])
    text = _as_the_kubelet(variables[CONFIG_VARIABLE], variables)
    assert parse_stage_config(text) == launch.config
    assert json.loads(text)["spec"]["prompts"]["user"] == prompt


def test_a_storage_address_with_a_dollar_is_not_expanded() -> None:
    ray_job = ray_job_of(PREPARE, storage__uri="s3://b/$(HOME)")
    for container in head_of(ray_job)["spec"]["containers"]:
        variables = variables_of(container)
        assert _as_the_kubelet(variables["DISTILLERY_STORAGE_URI"], variables) == "s3://b/$(HOME)"


def test_a_config_too_long_for_a_variable_is_refused() -> None:
    job = make_cluster_job(
        runtime__head={"metadata": {"annotations": {"a": "x" * MAX_CONFIG_BYTES}}}
    )
    with pytest.raises(SpecError) as caught:
        build_ray_job(make_launch(job, PREPARE), INSTALLATION)
    assert re.fullmatch(
        r"spec: the config of prepare must be at most 100000 bytes, got 10\d{4}; "
        r"shorten spec\.prompts or spec\.runtime",
        caught.value.message,
    )
    assert caught.value.reason == "StepConfigTooLong"
    assert len(caught.value.message) <= MAX_MESSAGE_CHARS


def test_only_the_head_gets_the_config() -> None:
    ray_job = ray_job_of(GENERATE, **GPU_CHANGES)
    holders = [
        container["name"]
        for template in templates_of(ray_job)
        for container in template["spec"]["containers"]
        if CONFIG_VARIABLE in variables_of(container)
    ]
    assert holders == ["ray-head"]


def test_a_job_that_cannot_run_is_not_built() -> None:
    launch = make_launch(make_cluster_job(runtime__head={"spec": {"hostNetwork": True}}), PREPARE)
    with pytest.raises(
        SpecError, match=r"spec\.runtime\.head\.spec\.hostNetwork: can't be changed"
    ):
        build_ray_job(launch, INSTALLATION)


def test_objects_built_twice_are_equal_and_share_nothing() -> None:
    first, second = (ray_job_of(GENERATE, **GPU_CHANGES) for _ in range(2))
    assert first == second
    groups_of(first)[0]["template"]["spec"]["containers"][0]["env"].clear()
    assert first != second
