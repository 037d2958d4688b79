"""The verbs on jobs in a cluster: what they write, what they say, and how they end."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from controller.cli.main import main
from controller.kube.api import Json
from controller.kube.faults import ForbiddenError, ThrottledError, UnreachableError
from controller.kube.resources import DISTILLATION_JOBS
from controller.launchers.kuberay.labels import ATTEMPT
from distillery.conditions import ConditionStatus, ConditionType
from distillery.errors import TransientError
from tests.doubles.api_server import Verb
from tests.hand_kuberay import HandKubeRay
from tests.operator_world import OperatorWorld
from tests.unit.controller.cluster_jobs import (
    NAMESPACE,
    RUNNING_TRAIN,
    Said,
    World,
    accepted,
    finished,
    make_condition,
    make_stage,
    make_world,
)

FALSE, TRUE, UNKNOWN = ConditionStatus.FALSE, ConditionStatus.TRUE, ConditionStatus.UNKNOWN
VERBS = ("status", "logs", "suspend", "resume", "upgrade", "delete", "report")
ENDED = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:04:05Z"}


@pytest.fixture
def world() -> World:
    return make_world()


def lines_of(said: Said) -> list[str]:
    return [line.rstrip() for line in said.out.splitlines()]


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_that_is_not_there_is_named_with_the_way_to_find_it(world: World, verb: str) -> None:
    want = "default/sums: there is no such DistillationJob; see kubectl get dj --all-namespaces, and name its namespace with -n\n"
    assert world.run(verb, "sums") == Said(code=2, out="", err=want)


@pytest.mark.parametrize("verb", VERBS)
def test_the_namespace_is_the_one_named_else_the_contexts(world: World, verb: str) -> None:
    said = world.run(verb, "sums", "-n", "team-a", "--kubeconfig", "k", "--context", "c")
    assert said.err.startswith("team-a/sums: there is no such DistillationJob; ")
    assert world.run(verb, "sums").err.startswith("default/sums: ")
    assert world.connected == [("k", "c"), (None, None)]


@pytest.mark.parametrize("verb", VERBS)
def test_what_the_user_may_not_do_is_told(world: World, verb: str) -> None:
    world.apply(status={"conditions": accepted()})
    problem = ForbiddenError("GET /x: is refused, got 403 'no'", reason="Forbidden")
    world.server.fault = lambda *_: problem
    assert world.run(verb, "sums") == Said(code=1, out="", err=f"{problem.message}\n")


def test_a_kubeconfig_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "none"
    assert main(("status", "sums", "--kubeconfig", str(path))) == 2
    assert capsys.readouterr().err == (
        f"{path}: is no usable kubeconfig, got ConfigException; name one with --kubeconfig or "
        "KUBECONFIG, and see that its context exists\n"
    )


def condition_of_queue(message: str) -> Json:
    return make_condition(ConditionType.ADMITTED, FALSE, "Queued", message)


@pytest.mark.parametrize(
    ("status", "suspend", "want", "want_code"),
    [
        pytest.param(None, False, "not looked at yet; see that the controller runs", 0, id="new"),
        pytest.param({"conditions": accepted()}, False, "accepted", 0, id="accepted"),
        pytest.param(
            {"conditions": accepted(), "summary": {"stage": "generate", "progress": "62%"}},
            False,
            "at generate, 62%",
            0,
            id="with progress",
        ),
        pytest.param(
            {"conditions": accepted(), "summary": {"stage": "generate"}},
            False,
            "at generate",
            0,
            id="without progress",
        ),
        pytest.param(
            {"conditions": accepted(), "observedGeneration": 0},
            False,
            "accepted, its last change not looked at yet",
            0,
            id="changed",
        ),
        pytest.param(
            {"conditions": accepted(), "stages": [RUNNING_TRAIN]},
            True,
            "being suspended",
            0,
            id="being suspended",
        ),
        pytest.param({"conditions": accepted()}, True, "suspended", 0, id="suspended"),
        pytest.param(
            {"conditions": finished(succeeded=True)}, False, "succeeded", 0, id="succeeded"
        ),
        pytest.param({"conditions": finished(succeeded=False)}, False, "failed", 1, id="failed"),
    ],
)
def test_the_first_line_is_the_jobs_state(
    world: World, status: Json | None, suspend: bool, want: str, want_code: int
) -> None:
    world.apply(status=status, suspend=suspend)
    said = world.run("status", "sums")
    assert (said.code, lines_of(said)[0], said.err) == (want_code, f"default/sums: {want}", "")


def test_what_the_job_is_expected_to_take_is_told(world: World) -> None:
    estimate = {"gpuHours": 1305.25, "durationSeconds": 7500, "costUsd": 3263.13}
    world.apply(status={"conditions": accepted(), "estimate": estimate})
    want = "  estimate: 1,305.2 GPU hours, 2 h 05 min of work, $3,263.13"
    assert lines_of(world.run("status", "sums"))[1] == want


def test_a_job_that_waits_for_its_finalizer_is_being_deleted(world: World) -> None:
    world.apply(status={"conditions": accepted()}, finalizers=("distillery.dev/stop",))
    assert world.run("delete", "sums").code == 0
    assert world.run("status", "sums").out == "default/sums: is being deleted\n"


def test_why_a_job_was_refused_is_told_once(world: World) -> None:
    message = "spec.retries.maxAttempts: must be positive, got 0; give 1 or more"
    conditions = [
        make_condition(ConditionType.ACCEPTED, FALSE, "InvalidSpec", message),
        make_condition(ConditionType.SUCCEEDED, FALSE, "InvalidSpec", message),
        make_condition(ConditionType.FINISHED, FALSE, "InvalidSpec"),
    ]
    world.apply(status={"conditions": conditions})
    want = ["default/sums: refused", "  Accepted=False InvalidSpec:", f"    {message}"]
    said = world.run("status", "sums")
    assert (said.code, lines_of(said)) == (1, want)


def test_what_keeps_a_job_from_going_on_is_told_and_what_is_well_is_not(world: World) -> None:
    degraded = make_condition(ConditionType.DEGRADED, TRUE, "NameConflict", "the name is taken")
    good = make_condition(ConditionType.SUCCEEDED, UNKNOWN, "Running")
    world.apply(status={"conditions": accepted(condition_of_queue("no quota"), degraded, good)})
    assert lines_of(world.run("status", "sums")) == [
        "default/sums: accepted",
        "  Admitted=False Queued:",
        "    no quota",
        "  Degraded=True NameConflict:",
        "    the name is taken",
    ]
    admitted = make_condition(ConditionType.ADMITTED, TRUE, "Admitted", "all is well")
    healthy = make_condition(ConditionType.DEGRADED, FALSE, "Healthy", "all is well")
    world.set_status(conditions=accepted(admitted, healthy))
    assert lines_of(world.run("status", "sums")) == ["default/sums: accepted"]


def test_each_step_has_a_line_and_living_ones_their_dashboard(world: World) -> None:
    url = "http://sums-head." + "x" * 200 + ":8265"
    progress = {"done": 5, "total": 8, "tokensPerSecond": 1234.5, "remainingSeconds": 65}
    stages = [
        make_stage("prepare", "Done", **ENDED),
        make_stage("generate", "Running", attempt=2, progress=progress, dashboardUrl=url),
        make_stage("curate", "Waiting", attempt=0),
        make_stage("train", "Failed", student="small", reason="Oom", message="no memory"),
    ]
    world.apply(status={"conditions": accepted(), "stages": stages})
    said = world.run("status", "sums")
    assert [" ".join(line.split()) for line in lines_of(said)] == [
        "default/sums: accepted",
        "prepare done 4 min 05 s",
        "generate running attempt 2, 5/8 rows 1,234 tokens/s 1 min 05 s left",
        "curate waiting",
        "train-small failed no memory",
        f"Ray dashboard: {url}",
    ]


def test_a_long_message_is_not_broken_over_lines(world: World) -> None:
    message = "word " * 50
    world.apply(status={"conditions": finished(succeeded=False, message=message)})
    assert f"    {message.rstrip()}" in lines_of(world.run("status", "sums"))


def is_suspended(world: World) -> bool:
    return bool(world.job()["spec"].get("suspend"))


def test_a_suspended_job_goes_on_when_it_is_resumed(world: World) -> None:
    world.apply(status={"conditions": accepted(), "stages": [RUNNING_TRAIN]})
    want = "default/sums: its pods are being stopped, finished steps are kept; go on with distillery resume sums -n default\n"
    assert world.run("suspend", "sums") == Said(code=0, out=want)
    assert is_suspended(world)
    want = "default/sums: goes on, finished steps are not run again; see distillery status sums -n default\n"
    assert world.run("resume", "sums") == Said(code=0, out=want)
    assert not is_suspended(world)


def test_what_is_as_wanted_is_not_written_again(world: World) -> None:
    world.apply(status={"conditions": accepted()}, suspend=True)
    version = world.server.version
    want = "default/sums: is suspended already; go on with distillery resume sums -n default\n"
    assert world.run("suspend", "sums") == Said(code=0, out=want)
    assert world.server.version == version
    world.run("resume", "sums")
    version = world.server.version
    want = "default/sums: is not suspended; see distillery status sums -n default\n"
    assert world.run("resume", "sums") == Said(code=0, out=want)
    assert world.server.version == version


FROZEN = {"runtime": {"image": "ray:old", "rayVersion": "2.60.0", "configVersion": 1}}


def test_an_upgrade_is_asked_for_by_an_annotation(world: World) -> None:
    world.apply(status={"conditions": accepted(), **FROZEN})
    want = (
        "default/sums: its next attempts run the installation's present image, until now ray:old; "
        "an attempt that runs goes on with its own\n"
    )
    assert world.run("upgrade", "sums") == Said(code=0, out=want)
    asked = world.job()["metadata"]["annotations"]["distillery.dev/upgrade"]
    assert datetime.fromisoformat(asked).tzinfo is not None


def test_a_job_that_has_frozen_nothing_needs_no_upgrade(world: World) -> None:
    world.apply(status={"conditions": accepted()})
    want = "default/sums: nothing of it is frozen yet; it starts with the present image\n"
    assert world.run("upgrade", "sums") == Said(code=0, out=want)
    assert "annotations" not in world.job()["metadata"]


def test_a_job_with_an_image_of_its_own_is_not_upgraded(world: World) -> None:
    world.apply(status={"conditions": accepted(), **FROZEN}, runtime__image="mine:1")
    want = "default/sums: names its own image, got mine:1; change that instead"
    assert world.refusal("upgrade", "sums") == (1, want)


def test_a_job_that_has_succeeded_is_not_upgraded(world: World) -> None:
    world.apply(status={"conditions": finished(succeeded=True), **FROZEN})
    want = "default/sums: has succeeded; there is nothing to upgrade"
    assert world.refusal("upgrade", "sums") == (1, want)


def test_a_job_that_has_succeeded_is_neither_suspended_nor_resumed(world: World) -> None:
    world.apply(status={"conditions": finished(succeeded=True)})
    before = world.job()
    want = "default/sums: has succeeded; there is nothing to suspend"
    assert world.refusal("suspend", "sums") == (1, want)
    want = "default/sums: has succeeded; see distillery report sums -n default"
    assert world.refusal("resume", "sums") == (1, want)
    assert world.job() == before


def test_a_failed_job_is_tried_again_by_a_change_that_changes_nothing(world: World) -> None:
    world.apply(status={"conditions": finished(succeeded=False)})
    want = "default/sums: has failed; there is nothing to suspend"
    assert world.refusal("suspend", "sums") == (1, want)
    want = "default/sums: tries again, finished steps are not run again; see distillery status sums -n default\n"
    assert world.run("resume", "sums") == Said(code=0, out=want)
    assert not is_suspended(world)
    assert world.job()["metadata"]["generation"] > 1


def test_the_operator_stops_what_is_suspended_and_goes_on_when_it_is_resumed(world: World) -> None:
    operator = OperatorWorld(world.server, world.clock)
    world.apply()
    operator.settle()
    for verb, want_state, want_children in (
        ("suspend", "suspended", []),
        ("resume", "at prepare", ["2"]),
    ):
        assert world.run(verb, "sums").code == 0
        operator.pass_time(5)
        assert lines_of(world.run("status", "sums"))[0] == f"default/sums: {want_state}"
        attempts = [child["metadata"]["labels"][ATTEMPT] for child in operator.children()]
        assert attempts == want_children


def test_the_operator_takes_up_a_failed_job_that_is_resumed(world: World) -> None:
    operator = OperatorWorld(world.server, world.clock)
    kuberay = HandKubeRay(world.server)
    world.apply()
    operator.settle()
    for number in (1, 2):
        child = operator.children()[-1]
        assert child["metadata"]["labels"][ATTEMPT] == str(number)
        kuberay.fail(child, retriable=False)
        operator.pass_time(1)
        said = world.run("status", "sums")
        assert (said.code, lines_of(said)[0]) == (1, "default/sums: failed")
        assert "    prepare: it broke" in lines_of(said)
        assert world.run("resume", "sums").code == 0
        operator.pass_time(1)
        assert lines_of(world.run("status", "sums"))[0] == "default/sums: at prepare"


def test_a_change_that_is_refused_is_told(world: World) -> None:
    world.apply(status={"conditions": accepted()})
    problem = ForbiddenError("PATCH /x: is refused, got 403 'no'", reason="Forbidden")
    world.server.fault = lambda verb, *_: problem if verb == Verb.PATCH else None
    assert world.refusal("suspend", "sums") == (1, problem.message)
    assert not is_suspended(world)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("problem", "want"),
    [
        (
            UnreachableError("GET /x: the API server fails, got 401 no; tried again", reason="R"),
            "GET /x: the API server fails, got 401 no; see the kubeconfig and its login, then run the command again",
        ),
        (
            ThrottledError("GET /x: is busy, got 429; tried again in 1 s", reason="R"),
            "GET /x: is busy, got 429; see the kubeconfig and its login, then run the command again",
        ),
    ],
    ids=["no answer", "busy"],
)
def test_a_command_promises_no_second_try(
    world: World, verb: str, problem: TransientError, want: str
) -> None:
    world.server.fault = lambda *_: problem
    assert world.refusal(verb, "sums") == (1, want)


def test_a_deleted_job_is_gone_and_its_artefacts_are_named(world: World) -> None:
    world.apply(status={"conditions": accepted()})
    want = "default/sums: deleted, its pods go too; what it made stays in s3://bucket/store/\n"
    assert world.run("delete", "sums") == Said(code=0, out=want)
    assert world.server.objects(DISTILLATION_JOBS) == []


def test_a_namesake_made_meanwhile_is_not_deleted(world: World) -> None:
    world.apply(status={"conditions": accepted()})

    def replace_before(verb: Verb, *_: Any) -> None:
        if verb == Verb.DELETE:
            world.server.fault = None
            old = world.job()
            world.server.delete(
                DISTILLATION_JOBS, namespace=NAMESPACE, name="sums", uid=old["metadata"]["uid"]
            )
            world.apply()

    world.server.fault = replace_before
    code, _ = world.refusal("delete", "sums")
    assert code == 1
    assert len(world.server.objects(DISTILLATION_JOBS)) == 1


def test_without_results_the_report_says_so(world: World) -> None:
    world.apply(status={"conditions": accepted()})
    want = "default/sums: has no results yet; see distillery status sums -n default\n"
    assert world.run("report", "sums") == Said(code=1, out=want)


def test_the_report_has_the_figures_of_every_arm_and_the_places(world: World) -> None:
    figures = {"student": "small", "mean": 0.51234, "ciLow": 0.4, "ciHigh": 0.6}
    results = {
        "metric": "accuracy",
        "arms": [
            {**figures, "arm": "Base", "numSeeds": 1},
            {**figures, "arm": "ChainOfThought", "mean": 0.75, "numSeeds": 2},
        ],
        "promoted": ["small"],
        "checkpointUri": "s3://bucket/store/p/models",
        "reportUri": "s3://bucket/store/p/report.html",
    }
    world.apply(status={"conditions": finished(succeeded=True), "results": results})
    said = world.run("report", "sums")
    assert (said.code, lines_of(said)) == (
        0,
        [
            "small Base: accuracy 0.512 (0.400 to 0.600, 1 seed)",
            "small ChainOfThought: accuracy 0.750 (0.400 to 0.600, 2 seeds)",
            "small: promoted",
            "report:  s3://bucket/store/p/report.html",
            "weights: s3://bucket/store/p/models",
        ],
    )


def test_a_rule_that_held_for_no_student_is_told(world: World) -> None:
    message = "evaluation.promoteIf held for no student"
    conditions = finished(succeeded=True)
    conditions.append(make_condition(ConditionType.PROMOTED, FALSE, "RuleNotHeld", message))
    results = {"checkpointUri": "s3://b/models", "reportUri": "s3://b/report.html"}
    world.apply(status={"conditions": conditions, "results": results})
    assert lines_of(world.run("report", "sums")) == [
        f"nothing is promoted: {message}",
        "report:  s3://b/report.html",
        "weights: s3://b/models",
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_teaches(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main((verb, "--help"))
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: distillery {verb} ")
    for part in ("exit codes: 0 ", "2 there is no such job", "-n", "--kubeconfig FILE", "JOB"):
        assert part in text


def test_the_help_of_status_and_logs_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, want in (
        ("status", "\n  distillery status commonsense -n team-a\n"),
        ("logs", "\n  distillery logs commonsense --step train-small | tail -50\n"),
    ):
        with pytest.raises(SystemExit):
            main((verb, "--help"))
        assert want in capsys.readouterr().out


def test_the_commands_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(("--help",))
    text = capsys.readouterr().out
    assert [verb for verb in VERBS if f"\n    {verb} " not in text] == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_wants_a_job(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main((verb,))
    assert ended.value.code == 2
    assert "the following arguments are required: JOB" in capsys.readouterr().err
