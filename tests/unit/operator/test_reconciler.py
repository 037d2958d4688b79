"""What the operator makes of a job's life, told by what lies on the API server afterwards."""

from controller.kube.resources import CONFIG_MAPS, DISTILLATION_JOBS, RAY_JOBS, ROLES
from distillery.conditions import ConditionStatus, ConditionType
from distillery.progress import Progress
from distillery.status import StepState
from tests.doubles.api_server import ApiServer
from tests.hand_kuberay import HandKubeRay
from tests.operator_world import NAMESPACE, OperatorWorld, child_of, make_resource

STEPS = ["prepare", "generate", "curate", "train-small", "evaluate-small", "publish"]


def steps_of(world: OperatorWorld) -> list[str]:
    return [child["metadata"]["labels"]["distillery.dev/step"] for child in world.children()]


def test_a_job_runs_its_steps_one_after_another_to_its_end(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    for step in STEPS:
        world.settle()
        child = child_of(world, step)
        kuberay.run(child)
        world.settle()
        assert [s.state for s in world.job().status.stages if s.step == step] == ["Running"]
        kuberay.succeed(child)
        world.pass_time(1)
    status = world.job().status
    assert status.is_true(ConditionType.SUCCEEDED)
    assert status.is_true(ConditionType.FINISHED)
    assert sorted(steps_of(world)) == sorted(STEPS)
    assert status.summary is not None
    assert (status.summary.students, status.summary.progress) == ("1/1", "100%")


def test_the_estimate_that_prepare_gives_is_in_the_status(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    world.settle()
    assert world.job().status.estimate is None
    estimate = {"gpuHours": 5.2, "durationSeconds": 2050, "costUsd": 13.0}
    kuberay.succeed(child_of(world, "prepare"), summary={"estimate": estimate})
    world.settle()
    found = world.job().status.estimate
    assert found is not None
    assert found.dump() == estimate


def test_a_bad_job_is_refused_with_the_words_of_validate_and_no_pod(world: OperatorWorld) -> None:
    world.apply(make_resource(students__0__arms=["Vanilla", "Gold"], dataset__train__maxRows=3))
    world.settle()
    accepted = world.job().status.condition(ConditionType.ACCEPTED)
    assert accepted is not None
    assert (accepted.status, accepted.reason) == (ConditionStatus.FALSE, "InvalidSpec")
    assert accepted.message.startswith("spec.dataset.train.maxRows: ")
    assert world.children() == []


def test_a_retriable_failure_is_tried_again_after_a_while(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    world.settle()
    kuberay.fail(child_of(world, "prepare"), retriable=True)
    world.settle()
    stage = world.job().status.stages[0]
    assert (stage.state, stage.reason, stage.failures.own) == ("BackingOff", "Broken", 1)
    world.pass_time(4)
    assert len(world.children()) == 1
    world.pass_time(2)
    second = child_of(world, "prepare", attempt=2)
    kuberay.fail(second, retriable=True)
    world.settle()
    assert world.job().status.stages[0].failures.own == 2


def test_retries_end_even_when_every_former_child_is_gone(
    world: OperatorWorld, kuberay: HandKubeRay, server: ApiServer
) -> None:
    world.apply(make_resource(retries__maxAttempts=3))
    for attempt in (1, 2, 3):
        world.settle()
        child = child_of(world, "prepare", attempt)
        kuberay.fail(child, retriable=True)
        world.settle()
        metadata = child["metadata"]
        server.delete(RAY_JOBS, namespace=NAMESPACE, name=metadata["name"], uid=metadata["uid"])
        world.pass_time(60)
        world.start()
        world.pass_time(60)
    stage = world.job().status.stages[0]
    assert (stage.state, stage.attempt, stage.failures.own) == (StepState.FAILED, 3, 3)
    assert world.job().status.is_true(ConditionType.FINISHED)


def test_suspended_stops_everything_and_resumed_begins_with_prepare(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    world.settle()
    kuberay.succeed(child_of(world, "prepare"))
    world.pass_time(1)
    kuberay.run(child_of(world, "generate"))
    world.settle()
    world.change({"suspend": True})
    world.settle()
    assert "generate" not in steps_of(world)
    world.pass_time(5)
    assert world.job().status.stages[1].reason == "Suspended"
    world.change({"suspend": False})
    world.settle()
    runtime = world.job().status.runtime
    assert runtime is not None
    assert runtime.run == 2
    kuberay.succeed(child_of(world, "prepare", attempt=2), finished=("generate",))
    world.pass_time(1)
    assert "generate" not in steps_of(world)
    assert "curate" in steps_of(world)


def test_a_restarted_operator_goes_on_as_if_nothing_had_happened(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    for step in STEPS:
        world.settle()
        kuberay.run(child_of(world, step))
        world.start()
        world.settle()
        kuberay.succeed(child_of(world, step))
        world.start()
        world.pass_time(1)
    assert world.job().status.is_true(ConditionType.SUCCEEDED)
    assert sorted(steps_of(world)) == sorted(STEPS)


def test_a_lost_status_is_rebuilt_from_what_is_there(
    world: OperatorWorld, kuberay: HandKubeRay, server: ApiServer
) -> None:
    world.apply(make_resource())
    world.settle()
    kuberay.succeed(child_of(world, "prepare"))
    world.pass_time(1)
    kuberay.run(child_of(world, "generate"))
    world.settle()
    before = world.job().status
    server.merge(
        DISTILLATION_JOBS,
        namespace=NAMESPACE,
        name="sums",
        patch={"status": {"stages": None, "conditions": None, "runtime": None}},
        subresource="status",
    )
    world.pass_time(1)
    after = world.job().status
    assert [(s.step, s.state, s.attempt) for s in after.stages] == [
        (s.step, s.state, s.attempt) for s in before.stages
    ]
    assert len(world.children()) == 2


def test_old_children_are_deleted_and_never_made_again(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    world.settle()
    kuberay.succeed(child_of(world, "prepare"))
    world.pass_time(1)
    kuberay.run(child_of(world, "generate"))
    world.pass_time(601)
    assert steps_of(world) == ["generate"]
    kuberay.succeed(child_of(world, "generate"))
    world.pass_time(1)
    world.start()
    world.pass_time(601)
    assert steps_of(world) == ["curate"]


def test_an_object_of_somebody_else_is_not_touched(world: OperatorWorld, server: ApiServer) -> None:
    server.create(
        CONFIG_MAPS,
        {"metadata": {"name": "sums-progress", "namespace": NAMESPACE}, "data": {"mine": "1"}},
    )
    world.apply(make_resource())
    world.settle()
    world.pass_time(1)
    degraded = world.job().status.condition(ConditionType.DEGRADED)
    assert degraded is not None
    assert (degraded.status, degraded.reason) == (ConditionStatus.TRUE, "NameConflict")
    assert "rename the job, or delete that object" in degraded.message
    assert world.children() == []
    found = server.fetch(CONFIG_MAPS, namespace=NAMESPACE, name="sums-progress")
    assert found["data"] == {"mine": "1"}


def test_without_kuberays_crd_the_job_says_so_and_goes_on_when_it_is_there(
    world: OperatorWorld, server: ApiServer
) -> None:
    from tests.doubles.api_kinds import custom

    server.stop_serving(RAY_JOBS)
    world.apply(make_resource())
    world.settle()
    world.pass_time(1)
    degraded = world.job().status.condition(ConditionType.DEGRADED)
    assert degraded is not None
    assert degraded.reason == "RayJobCrdMissing"
    server.serve(custom(RAY_JOBS))
    world.pass_time(60)
    world.pass_time(60)
    assert steps_of(world) == ["prepare"]
    degraded = world.job().status.condition(ConditionType.DEGRADED)
    assert degraded is not None
    assert degraded.status == ConditionStatus.FALSE


def test_progress_and_speed_are_in_the_status(world: OperatorWorld, kuberay: HandKubeRay) -> None:
    world.apply(make_resource())
    world.settle()
    progress = Progress(done=62, total=100, tokens_per_second=1234.0, remaining_seconds=65)
    kuberay.run(child_of(world, "prepare"), progress)
    world.settle()
    status = world.job().status
    assert status.stages[0].progress == progress
    assert status.summary is not None
    assert (status.summary.stage, status.summary.progress) == ("prepare", "62%")


def test_the_job_and_all_it_owns_goes_when_its_time_is_over(
    world: OperatorWorld, kuberay: HandKubeRay, server: ApiServer
) -> None:
    world.apply(make_resource(ttlSecondsAfterFinished=100))
    world.settle()
    kuberay.fail(child_of(world, "prepare"), retriable=False)
    world.pass_time(1)
    assert world.job().status.is_true(ConditionType.FINISHED)
    world.pass_time(101)
    server.collect_garbage()
    for resource in (DISTILLATION_JOBS, RAY_JOBS, CONFIG_MAPS, ROLES):
        assert server.objects(resource, namespace=NAMESPACE) == []


def test_an_image_the_job_names_later_holds_from_the_next_attempt(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource())
    world.settle()
    world.change({"runtime": {"image": "example.com/ray:2"}})
    kuberay.fail(child_of(world, "prepare"), retriable=True)
    world.settle()
    world.pass_time(10)
    images = [
        child["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0][
            "image"
        ]
        for child in (child_of(world, "prepare"), child_of(world, "prepare", attempt=2))
    ]
    assert images == ["example.com/ray:1", "example.com/ray:2"]
    runtime = world.job().status.runtime
    assert runtime is not None
    assert runtime.image == "example.com/ray:2"


def test_a_step_that_runs_too_long_is_stopped_for_good(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource(runtime__stepDeadlineSeconds=100, runtime__stallSeconds=1000))
    world.settle()
    child = child_of(world, "prepare")
    kuberay.add_head(child)
    kuberay.run(child)
    world.settle()
    world.pass_time(101)
    world.pass_time(1)
    assert world.children() == []
    world.server.collect_garbage()
    world.pass_time(1)
    stage = world.job().status.stages[0]
    assert (stage.state, stage.reason) == ("Failed", "DeadlineExceeded")


def test_a_step_that_stands_still_is_stopped_and_tried_again(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    world.apply(make_resource(runtime__stallSeconds=60))
    world.settle()
    child = child_of(world, "prepare")
    kuberay.add_head(child)
    for work in (1, 2, 3):
        kuberay.run(child, Progress(work=work))
        world.pass_time(40)
    assert len(world.children()) == 1
    world.pass_time(61)
    world.server.collect_garbage()
    world.pass_time(1)
    world.pass_time(10)
    assert [c["metadata"]["labels"]["distillery.dev/attempt"] for c in world.children()] == ["2"]
    assert ("Warning", "Stalled") in [(kind, reason) for kind, reason, _ in world.events]


def test_figures_and_promotion_are_in_the_status(
    world: OperatorWorld, kuberay: HandKubeRay
) -> None:
    promote = {"arm": "ChainOfThought", "beats": "Base"}
    world.apply(make_resource(evaluation__promoteIf=promote))
    figures = {
        "metric": "exact_match",
        "arms": {"small": [["ChainOfThought", 0.9, 0.8, 0.95, 2], ["Base", 0.1, 0.0, 0.2, 1]]},
        "promoted": ["small"],
    }
    for step in STEPS:
        world.settle()
        kuberay.succeed(child_of(world, step), summary=figures if step == "publish" else None)
        world.pass_time(1)
    status = world.job().status
    promoted = status.condition(ConditionType.PROMOTED)
    assert promoted is not None
    assert (promoted.status, promoted.reason, promoted.message) == ("True", "RuleHeld", "small")
    assert status.results is not None
    assert [(arm.arm, arm.mean, arm.num_seeds) for arm in status.results.arms] == [
        ("ChainOfThought", 0.9, 2),
        ("Base", 0.1, 1),
    ]
    assert status.results.report_uri == "s3://bucket/store/publish/report.html"


def test_a_lost_record_begins_a_new_run_and_no_finished_step_again(
    world: OperatorWorld, kuberay: HandKubeRay, server: ApiServer
) -> None:
    world.apply(make_resource())
    world.settle()
    kuberay.succeed(child_of(world, "prepare"))
    world.pass_time(1)
    kuberay.succeed(child_of(world, "generate"))
    world.pass_time(1)
    found = server.fetch(CONFIG_MAPS, namespace=NAMESPACE, name="sums-progress")
    server.delete(
        CONFIG_MAPS, namespace=NAMESPACE, name="sums-progress", uid=found["metadata"]["uid"]
    )
    world.pass_time(1)
    world.pass_time(1)
    runtime = world.job().status.runtime
    assert runtime is not None
    assert runtime.run == 2
    for _ in range(4):
        world.pass_time(15)
    kuberay.succeed(child_of(world, "prepare", attempt=2), finished=("generate",))
    world.pass_time(1)
    assert steps_of(world).count("generate") == 1


def test_a_name_is_not_given_again_while_pods_bear_it(
    world: OperatorWorld, kuberay: HandKubeRay, server: ApiServer
) -> None:
    world.apply(make_resource())
    world.settle()
    child = child_of(world, "prepare")
    kuberay.add_head(child)
    metadata = child["metadata"]
    server.delete(RAY_JOBS, namespace=NAMESPACE, name=metadata["name"], uid=metadata["uid"])
    status = {"stages": None, "conditions": None, "runtime": None}
    server.merge(
        DISTILLATION_JOBS,
        namespace=NAMESPACE,
        name="sums",
        patch={"status": status},
        subresource="status",
    )
    world.start()
    world.settle()
    world.pass_time(5)
    assert world.children() == []
    server.collect_garbage()
    world.pass_time(60)
    assert len(world.children()) == 1
