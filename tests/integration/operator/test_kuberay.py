"""The controller's process, a real API server, KubeRay's true CRDs and KubeRay: whole lives of jobs.

All jobs are begun together (``kuberay_stories.py``); each test looks at one when it is so far. With
``KUBERAY_OPERATOR`` it is the real operator, else the double.
"""

from collections.abc import Iterator

import pytest

from controller.kube.faults import InvalidError
from controller.kube.resources import (
    CONFIG_MAPS,
    DISTILLATION_JOBS,
    PODS,
    RAY_CLUSTERS,
    RAY_JOBS,
)
from controller.launchers.kuberay.labels import STEP
from controller.launchers.kuberay.rayjob import NO_SECOND_HEAD
from distillery.conditions import STAGE_CONDITIONS, ConditionStatus, ConditionType
from distillery.status import JobStatus, StepFailures, StepState
from tests.controlplane.fixtures import ControlPlane
from tests.doubles.api_kinds import SERVICES
from tests.integration.operator.kuberay_reading import attempt_of, condition_of, stage_of
from tests.integration.operator.kuberay_stories import (
    LATER,
    PROGRESS,
    STEPS,
    Stories,
    told_stories,
)
from tests.unit.kuberay.all_ray_jobs import SAMPLES, sample_job

pytestmark = [pytest.mark.controlplane, pytest.mark.heavy]

SIZES: dict[str, tuple[str, str, list[str]]] = {
    "prepare": ("4", "16Gi", []),
    "generate": ("2", "8Gi", ["2"]),
    "curate": ("4", "16Gi", []),
    "train-small": ("2", "8Gi", ["1", "1"]),
    "evaluate-small": ("4", "17Gi", []),
    "publish": ("4", "17Gi", []),
}
"""CPUs and memory of the head and GPUs of each worker, for the job ``whole``."""
ONE_FAILED = ("False", "StudentsFailed", "failed students: bad")


@pytest.fixture(scope="module")
def stories(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    with told_stories(installed, tmp_path_factory.mktemp("kuberay")) as found:
        yield found


def test_a_job_runs_its_steps_as_ray_jobs_to_its_end(stories: Stories) -> None:
    story = stories["whole"]
    status = story.until_succeeded()
    assert story.launched() == [f"{step}/1" for step in STEPS]
    done = (*STAGE_CONDITIONS.values(), ConditionType.SUCCEEDED, ConditionType.FINISHED)
    assert {each.type: (each.status, each.reason) for each in status.conditions} == {
        ConditionType.ACCEPTED: ("True", "Valid"),
        ConditionType.ADMITTED: ("True", "Admitted"),
        ConditionType.DEGRADED: ("False", "Healthy"),
        **dict.fromkeys(done, ("True", "Done")),
    }
    assert [(each.step, each.state, each.attempt) for each in status.stages] == [
        (step, StepState.DONE, 1) for step in STEPS
    ]
    assert status.results is not None
    assert status.results.report_uri == "s3://bucket/store/publish/report.html"
    assert status.summary is not None
    found = status.summary
    assert (found.progress, found.students, found.teacher) == ("100%", "1/1", "teacher")


def test_children_carry_the_jobs_names_labels_and_owner(stories: Stories) -> None:
    story = stories["whole"]
    story.until_succeeded()
    uid = story.raw()["metadata"]["uid"]
    for raw in story.made(RAY_JOBS):
        step = raw["metadata"]["labels"][STEP]
        student = {"distillery.dev/student": "small"} if step.endswith("-small") else {}
        labels = {
            "distillery.dev/job": "whole",
            "distillery.dev/step": step,
            "distillery.dev/stage": step.partition("-")[0],
            "distillery.dev/attempt": "1",
            "distillery.dev/run": "1",
            "distillery.dev/ray-job": story.child_name(step),
            "app.kubernetes.io/managed-by": "distillery",
            **student,
        }
        assert raw["metadata"]["name"] == story.child_name(step)
        assert raw["metadata"]["labels"] == labels
        assert raw["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "distillery.dev/v1alpha1",
                "kind": "DistillationJob",
                "name": "whole",
                "uid": uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        pods = story.made(PODS, step=step)
        assert pods
        for pod in pods:
            assert labels.items() <= pod["metadata"]["labels"].items()


def test_kuberay_makes_clusters_pods_and_services_of_what_it_is_given(stories: Stories) -> None:
    story = stories["whole"]
    story.until_succeeded()
    clusters = story.made(RAY_CLUSTERS)
    assert [attempt_of(each) for each in clusters] == [f"{step}/1" for step in STEPS]
    services = {
        each.raw["metadata"]["name"] for each in story.world.journal.of(SERVICES, story.namespace)
    }
    for cluster in clusters:
        assert cluster["metadata"]["annotations"][NO_SECOND_HEAD] == "true"
        assert f"{cluster['metadata']['name']}-head-svc" in services
    for step in STEPS:
        assert f"{story.child_name(step)}-head-svc" in services
    for step, (cpus, memory, workers_gpus) in SIZES.items():
        (head,) = story.nodes(step, "head")
        limits = head["spec"]["containers"][0]["resources"]["limits"]
        assert "nvidia.com/gpu" not in limits
        assert (limits["cpu"], limits["memory"]) == (cpus, memory)
        found = [each["spec"]["containers"][0]["resources"] for each in story.nodes(step, "worker")]
        assert [each["limits"]["nvidia.com/gpu"] for each in found] == workers_gpus
        assert [each["requests"] for each in found] == [each["limits"] for each in found]


def test_kuberay_refuses_no_ray_job(stories: Stories) -> None:
    stories["whole"].until_succeeded()
    seen = [
        (each.raw.get("status") or {}).get("jobDeploymentStatus")
        for namespace in (stories.shared, stories.emptied, stories.expiring, stories.tidied)
        for each in stories.world.journal.of(RAY_JOBS, namespace)
    ]
    assert {"Initializing", "Running", "Complete"} <= set(seen)
    assert "ValidationFailed" not in seen


def test_the_status_tells_how_a_step_goes_while_it_runs(stories: Stories) -> None:
    story = stories["whole"]
    final = story.until_succeeded()
    statuses = story.statuses()
    assert any(stage_of(each, "generate").progress == PROGRESS for each in statuses)
    lines = [(each.summary.stage, each.summary.progress) for each in statuses if each.summary]
    assert ("generate", "62%") in lines
    clusters = {attempt_of(raw): raw["metadata"]["name"] for raw in story.made(RAY_CLUSTERS)}
    for step in STEPS:
        told = [stage for each in statuses if (stage := stage_of(each, step)).dashboard_url]
        host = f"{clusters[f'{step}/1']}-head-svc.{story.namespace}.svc.cluster.local"
        assert {each.dashboard_url for each in told} == {f"http://{host}:8265"}
        assert {each.state for each in told} == {StepState.RUNNING}
    assert {each.dashboard_url for each in final.stages} == {""}


def test_events_tell_each_transition(stories: Stories) -> None:
    story = stories["whole"]
    story.until_succeeded()
    want = [("Normal", "Valid", "Accepted is True: Valid")]
    for step in STEPS:
        started = f"{step}: attempt 1 started, {story.child_name(step)}"
        want += [("Normal", "StepStarted", started), ("Normal", "StepDone", f"{step}: Done")]
    want.append(("Normal", "Done", "Succeeded is True: Done"))
    story.world.wait(lambda: len(story.events()) >= len(want))
    assert story.events() == want


@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_every_sample_is_admitted(stories: Stories, name: str) -> None:
    story = stories[f"sample-{name}"]
    job = sample_job(next(path for path in SAMPLES if path.stem == name))
    if job.spec.runtime.ray_address:
        story.until(lambda status: status.is_true(ConditionType.ACCEPTED))
        assert story.launched() == []
        return
    story.until_succeeded()
    assert [raw.partition("/")[0] for raw in story.launched()] == [
        each.step for each in story.status().stages
    ]


def test_a_suspended_job_loses_its_pods_and_goes_on_with_what_is_finished(
    stories: Stories,
) -> None:
    story = stories["suspended"]
    story.until_runs("curate")
    story.change({"suspend": True})
    status = story.until(lambda status: stage_of(status, "curate").reason == "Suspended")
    assert stage_of(status, "curate").state == StepState.WAITING
    assert condition_of(status, ConditionType.ADMITTED)[:2] == ("False", "Suspended")
    assert not status.is_true(ConditionType.FINISHED)
    assert len(story.stops_of_nodes("curate")) == 1
    story.go_on_with(finished=tuple(step for step in LATER if step != "curate"))
    story.change({"suspend": False})
    status = story.until_succeeded()
    assert story.launched() == ["prepare/1", "generate/1", "curate/1", "prepare/2", "curate/2"]
    assert stage_of(status, "generate").reason == "AlreadyFinished"
    assert status.runtime is not None
    assert (status.runtime.run, status.runtime.suspended) == (2, False)


def test_a_job_deleted_at_any_moment_leaves_nothing(stories: Stories) -> None:
    queued = stories["placeless"].until(
        lambda status: condition_of(status, ConditionType.ADMITTED)[1] == "Queued"
    )
    assert "finds no place" in condition_of(queued, ConditionType.ADMITTED)[2]
    stories["training"].until_runs("train-small")
    stories["failed"].until_over()
    stories["done"].until_succeeded()
    begun = stories.world.apply("begun", namespace=stories.emptied)
    for story in (begun, *(stories[name] for name in ("placeless", "training", "failed", "done"))):
        story.delete()
    stories.world.wait(
        lambda: not stories.left_in(stories.emptied),
        what=lambda: str(stories.left_in(stories.emptied)),
    )


def test_a_job_deleted_and_applied_again_runs_only_what_is_not_finished(stories: Stories) -> None:
    story = stories["again"]
    story.until_runs("curate")
    former = [raw["metadata"]["name"] for raw in story.made(RAY_JOBS)]
    story.delete()
    finished = tuple(step for step in LATER if step != "publish")
    stories.world.apply("again", namespace=stories.shared, finished=finished)
    status = story.until_succeeded()
    assert story.launched()[3:] == ["prepare/1", "publish/1"]
    assert not set(former) & {raw["metadata"]["name"] for raw in story.children()}
    assert [each.reason for each in status.stages] == ["Done", *["AlreadyFinished"] * 4, "Done"]
    stories.world.wait(lambda: len(story.children()) == 2)


def test_a_failed_step_is_tried_again_once_its_first_cluster_is_gone(stories: Stories) -> None:
    story = stories["retried"]
    status = story.until_succeeded()
    assert story.launched() == ["prepare/1", "prepare/2"]
    (second,) = story.made(RAY_JOBS, step="prepare", attempt=2)
    second_at = int(second["metadata"]["resourceVersion"])
    clusters = [each for each in story.entries_of(RAY_CLUSTERS, attempt=1) if each.is_gone]
    stops = [*story.stops_of_nodes("prepare"), *(each.version for each in clusters)]
    assert len(stops) == 2
    assert max(stops) < second_at
    tried = [stage_of(each, "prepare") for each in story.statuses()]
    waiting = [each for each in tried if each.state == StepState.BACKING_OFF]
    assert {(each.attempt, each.reason, each.message) for each in waiting} == {
        (1, "Broken", "it broke")
    }
    assert stage_of(status, "prepare").failures == StepFailures(own=1)


@pytest.mark.parametrize(
    ("name", "want_reason", "want_words", "want_failures"),
    [
        (
            "preempted",
            "Preempted",
            "was taken away, got PreemptionByScheduler",
            StepFailures(own=1, preemptions=1),
        ),
        (
            "out-of-memory",
            "OutOfMemory",
            "container ray-head ran out of memory, got a limit of 16Gi",
            StepFailures(own=1),
        ),
        (
            "head-lost",
            "HeadLost",
            "has no live head pod, got Running from KubeRay",
            StepFailures(own=1),
        ),
    ],
)
def test_what_was_taken_away_is_told_and_counted_apart(
    stories: Stories, name: str, want_reason: str, want_words: str, want_failures: StepFailures
) -> None:
    story = stories[name]
    status = story.until_succeeded()
    first = [each for each in story.statuses() if stage_of(each, "prepare").attempt == 1]
    told = stage_of(first[-1], "prepare")
    assert (told.state, told.reason) == (StepState.BACKING_OFF, want_reason)
    assert want_words in told.message
    assert stage_of(status, "prepare").failures == want_failures


def test_an_attempt_starts_its_driver_once_though_its_head_dies(stories: Stories) -> None:
    for name in ("preempted", "out-of-memory", "head-lost"):
        story = stories[name]
        story.until_succeeded()
        names = [raw["metadata"]["name"] for raw in story.made(RAY_JOBS)]
        starts = [story.world.ray.num_starts.get(each, 0) for each in names]
        assert (max(starts), starts[-1]) == (1, 1)


def test_a_ray_job_that_somebody_deletes_is_tried_again(stories: Stories) -> None:
    story = stories["childless"]
    story.until_runs("prepare")
    (child,) = story.children()
    metadata = child["metadata"]
    story.world.api.delete(
        RAY_JOBS, namespace=story.namespace, name=metadata["name"], uid=metadata["uid"]
    )
    status = story.until_succeeded()
    assert story.launched() == ["prepare/1", "prepare/2"]
    assert stage_of(status, "prepare").failures == StepFailures(own=1)
    assert "ChildDeleted" in {stage_of(each, "prepare").reason for each in story.statuses()}


def test_fail_fast_stops_the_other_student(stories: Stories) -> None:
    story = stories["fast"]
    status = story.until_over()
    assert story.launched() == ["prepare/1", "train-bad/1", "train-good/1"]
    both = [
        (stage_of(each, "train-good"), stage_of(each, "train-bad")) for each in story.statuses()
    ]
    assert any(good.state == bad.state == StepState.RUNNING for good, bad in both)
    stopped = stage_of(status, "train-good")
    assert (stopped.state, stopped.reason) == (StepState.SKIPPED, "FailedFast")
    assert stopped.message == "train-bad failed and failurePolicy is FailFast"
    assert condition_of(status, ConditionType.SUCCEEDED) == ONE_FAILED
    assert len(story.stops_of_nodes("train-good")) == 1
    assert [attempt_of(raw) for raw in story.children()] == ["prepare/1", "train-bad/1"]


def test_continue_finishes_the_other_student(stories: Stories) -> None:
    story = stories["patient"]
    status = story.until_over()
    launched = story.launched()
    assert launched[0] == "prepare/1"
    assert sorted(launched[1:3]) == ["train-bad/1", "train-good/1"]
    assert launched[3:] == ["evaluate-good/1", "publish/1"]
    others = [each for each in status.stages if each.state != StepState.DONE]
    assert [(each.step, each.state, each.reason) for each in others] == [
        ("train-bad", StepState.FAILED, "Hopeless"),
        ("evaluate-bad", StepState.SKIPPED, "UpstreamFailed"),
    ]
    assert condition_of(status, ConditionType.SUCCEEDED) == ONE_FAILED


@pytest.mark.parametrize(
    ("name", "want_message"),
    [
        (
            "unfit",
            "spec.storage.uri: must be s3://, for pods share no disk, got file:///store; or mount "
            "a shared volume there in spec.runtime.head",
        ),
        (
            "wrong",
            "spec.dataset.train.maxRows: must be at least 40 for MATH, got 3; take more rows",
        ),
    ],
)
def test_a_job_that_fails_validation_is_not_accepted_and_has_no_child(
    stories: Stories, name: str, want_message: str
) -> None:
    story = stories[name]
    status = story.until(
        lambda status: condition_of(status, ConditionType.ACCEPTED)[0] == ConditionStatus.FALSE
    )
    assert condition_of(status, ConditionType.ACCEPTED) == ("False", "InvalidSpec", want_message)
    story.world.wait(lambda: bool(story.events()))
    note = f"Accepted is False: {want_message}"
    assert story.events() == [("Warning", "InvalidSpec", note)]
    assert story.launched() == []
    assert not [each for each in stories.left_in(stories.shared) if f"/{name}-" in each]


def test_a_started_job_keeps_what_it_was_started_with(stories: Stories) -> None:
    story = stories["fixed"]
    story.until_runs("prepare")
    with pytest.raises(InvalidError, match="is fixed once the job has started"):
        story.change({"task": "NLU_QA"})
    story.change({"retries": {"maxAttempts": 5}})
    generation = story.raw()["metadata"]["generation"]
    status = story.until(lambda status: status.observed_generation == generation)
    assert stage_of(status, "prepare").state == StepState.RUNNING
    assert story.launched() == ["prepare/1"]


def test_a_job_and_all_it_owns_goes_when_its_time_is_over(stories: Stories) -> None:
    story = stories["expired"]
    stories.world.wait(lambda: not story.is_there())
    assert story.statuses()[-1].is_true(ConditionType.SUCCEEDED)
    stories.world.wait(
        lambda: not stories.left_in(stories.expiring),
        what=lambda: f"left are {stories.left_in(stories.expiring)}",
    )


def test_ray_jobs_go_some_time_after_their_end_but_for_the_last_failure(stories: Stories) -> None:
    story = stories["tidied"]
    status = story.until_over()
    story.world.wait(lambda: [attempt_of(raw) for raw in story.children()] == ["generate/1"])
    assert story.launched() == ["prepare/1", "prepare/2", "generate/1"]
    assert stage_of(status, "prepare").failures == StepFailures(own=1)
    assert condition_of(story.status(), ConditionType.SUCCEEDED) == (
        "False",
        "Hopeless",
        "generate: it broke",
    )


def test_an_object_of_somebody_else_is_left_alone_until_it_is_out_of_the_way(
    stories: Stories,
) -> None:
    story = stories["clash"]
    status = story.until(lambda status: status.is_true(ConditionType.DEGRADED))
    place = {"namespace": story.namespace, "name": "clash-progress"}
    assert condition_of(status, ConditionType.DEGRADED) == (
        "True",
        "NameConflict",
        f"ConfigMap {story.namespace}/clash-progress: is somebody else's, got another owner; "
        "rename the job, or delete that object",
    )
    assert story.launched() == []
    foreign = story.world.api.fetch(CONFIG_MAPS, **place)
    assert foreign["data"] == {"mine": "1"}
    story.world.api.delete(CONFIG_MAPS, **place, uid=foreign["metadata"]["uid"])
    status = story.until_succeeded()
    assert story.launched() == ["prepare/1"]
    assert condition_of(status, ConditionType.DEGRADED)[:2] == ("False", "Healthy")


def test_a_lost_status_is_built_again_from_what_is_there(stories: Stories) -> None:
    story = stories["forgotten"]
    before = story.until_runs("curate")
    raw = story.raw()["status"]
    story.world.api.merge(
        DISTILLATION_JOBS,
        namespace=story.namespace,
        name=story.name,
        patch={"status": dict.fromkeys(raw)},
        subresource="status",
    )

    def told(status: JobStatus) -> list[tuple[str, StepState, int, str]]:
        return [(each.step, each.state, each.attempt, each.ray_job_name) for each in status.stages]

    after = story.until(lambda status: told(status) == told(before))
    assert after.is_true(ConditionType.ACCEPTED)
    assert {each.type for each in after.conditions} == {each.type for each in before.conditions}
    assert story.launched() == ["prepare/1", "generate/1", "curate/1"]
    assert JobStatus() in story.statuses()
