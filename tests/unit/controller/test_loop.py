"""The loop's own part: what is recorded when, and what it bears from Ray."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.cli.interrupts import Interrupts
from controller.cli.loop import CLUSTER_LOST_S, RunIdentity, RunLoop
from controller.cli.workdir import RunState, read_state
from controller.launchers.ray_launcher import Observation
from controller.plan.snapshot import Attempt, RayStatus
from distillery.errors import DistilleryError, ExternalError, SpecError, TransientError
from distillery.stage_configs import StageConfig
from distillery.status import JobStatus
from distillery.step_configs import Place
from tests.attempts import RUN, make_attempt
from tests.builders import make_job

UNREACHABLE = TransientError("http://x: Ray doesn't answer; see", reason="RayUnreachable")


@dataclass
class FakeRay:
    """A launcher in memory, which also reads what the state file held when it was called."""

    workdir: Path
    recorded: list[tuple[str, ...]] = field(default_factory=list)
    launch_error: DistilleryError | None = None
    observation: Observation | DistilleryError = UNREACHABLE

    def launch(self, attempt: Attempt, config: StageConfig) -> None:
        state = read_state(self.workdir, job="sums")
        self.recorded.append(tuple(each.submission_id for each in state.attempts))
        if self.launch_error:
            raise self.launch_error

    def observe(self, attempt: Attempt) -> Observation:
        if isinstance(self.observation, DistilleryError):
            raise self.observation
        return self.observation

    def stop(self, attempt: Attempt) -> None:
        raise UNREACHABLE


@dataclass
class Silence:
    """A view that keeps what it is told."""

    said: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.said.append(message)

    def show(self, status: JobStatus) -> None:
        pass


@dataclass
class Stage:
    """A loop, its launcher and its clock."""

    loop: RunLoop
    ray: FakeRay
    now: list[float]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A loop at the start of a run."""
    return make_stage(tmp_path, RunState(job="sums"))


def make_stage(workdir: Path, state: RunState) -> Stage:
    """A loop that goes on from ``state``."""
    ray, now = FakeRay(workdir=workdir), [100.0]
    loop = RunLoop(
        RunIdentity(job=make_job(), place=Place(scratch_dir="/s"), run=RUN),
        workdir=workdir,
        state=state,
        launcher=ray,
        view=Silence(),
        clock=lambda: now[0],
    )
    return Stage(loop=loop, ray=ray, now=now)


def test_an_attempt_is_recorded_before_it_is_launched(stage: Stage) -> None:
    stage.loop.turn()
    assert stage.ray.recorded == [("sums-prepare-1-r2",)]


def test_a_refused_launch_ends_the_attempt_and_the_run(stage: Stage) -> None:
    stage.ray.launch_error = SpecError("it can't", reason="Refused")
    stage.loop.turn()
    (attempt,) = stage.loop.state.attempts
    assert (attempt.ray_status, attempt.ended_at) == (RayStatus.LOST, 100.0)
    assert stage.loop.run(Interrupts()).stages[0].reason == "Refused"


def test_a_launch_without_an_answer_is_looked_at_again(stage: Stage) -> None:
    stage.ray.launch_error = UNREACHABLE
    stage.loop.turn()
    assert stage.loop.state.attempts[0].is_live


def test_ray_may_be_silent_for_a_while_but_not_for_ever(stage: Stage) -> None:
    stage.loop.turn()
    stage.now[0] += 1
    stage.loop.turn()
    stage.now[0] += CLUSTER_LOST_S
    stage.loop.turn()
    stage.now[0] += 1
    with pytest.raises(ExternalError, match="Ray doesn't answer, for 60 s; run the same") as caught:
        stage.loop.turn()
    assert caught.value.reason == "ClusterLost"


def test_a_survivor_is_adopted_in_the_record(tmp_path: Path) -> None:
    identity = RunIdentity(job=make_job(), place=Place(scratch_dir="/s"), run=RUN)
    survivor = make_attempt("train-small", run="r1", job_digest=identity.digest)
    stage = make_stage(tmp_path, RunState(job="sums", attempts=(survivor,)))
    stage.ray.observation = Observation(status=RayStatus.RUNNING, progress=None, outcome=None)
    stage.loop.turn()
    (recorded,) = read_state(tmp_path, job="sums").attempts
    assert (recorded.run, recorded.adopted) == (RUN, True)
    assert stage.ray.recorded == []
