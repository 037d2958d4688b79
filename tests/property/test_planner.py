"""Random histories of a run: crashes, kills, lost drivers, edits of the job, interruptions.

A small world plays the part of Ray: it starts what the planner starts, ends what it stops, and
lets chance decide the rest.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.plan.actions import AdoptStep, Plan, StartStep, StopStep
from controller.plan.planner import plan
from controller.plan.snapshot import Attempt, RayStatus, Snapshot
from distillery.progress import Outcome
from distillery.spec.job import DistillationJob
from distillery.stage_configs import parse_stage_config
from distillery.status import StepState
from distillery.steps import PUBLISH, steps_of, upstream_of
from tests.attempts import make_attempt, make_failure, make_outcome, make_snapshot, make_verdict
from tests.builders import MINIMAL_JOB, make_job

MAX_TURNS = 2_000
EVENTS = ("ok", "ok", "ok", "fail", "retriable", "die", "crash", "edit", "suspend", "wait")


def make_students(*, count: int, policy: str) -> DistillationJob:
    """A job of ``count`` students."""
    student = MINIMAL_JOB["spec"]["students"][0]
    students = [{**student, "name": f"s{index}"} for index in range(count)]
    return make_job(students=students, failurePolicy=policy)


@dataclass
class World:
    """Ray and the shell, in the test's hands. ``finished``: manifests that lie in storage."""

    job: DistillationJob
    events: list[str]
    attempts: list[Attempt] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    run: int = 0
    digest: int = 0
    now: float = 0.0
    suspended: bool = False

    def snapshot(self) -> Snapshot:
        return make_snapshot(
            *self.attempts,
            job=self.job,
            run=f"r{self.run}",
            job_digest=str(self.digest),
            suspended=self.suspended,
        )

    def carry_out(self, decided: Plan) -> None:
        for action in decided.actions:
            match action:
                case StartStep():
                    self._start(action)
                case AdoptStep(attempt=attempt):
                    self._change(attempt, run=f"r{self.run}", adopted=True)
                case StopStep(attempt=attempt):
                    self._change(attempt, ray_status=RayStatus.STOPPED, ended_at=self.now)

    def happen(self) -> None:
        """The next event: of the running attempt, or of the command itself."""
        event = self.events.pop() if self.events else "ok"
        if event in ("crash", "edit", "suspend"):
            self.run += 1
            self.suspended = event == "suspend"
            self.digest += event == "edit"
            return
        self.suspended = False
        live = [attempt for attempt in self.attempts if attempt.is_live]
        if live and event != "wait":
            self._end(live[0], event)

    def _start(self, action: StartStep) -> None:
        assert not [each for each in self.attempts if each.is_live], "two attempts at once"
        assert parse_stage_config(action.config.model_dump_json(by_alias=True)) == action.config
        step = action.step
        ran = {each.step for each in self.attempts if each.run == f"r{self.run}"}
        if step.id != "prepare":
            assert "prepare" in ran, "prepare comes first"
            assert step.id not in self.finished, "finished steps are never started"
        if step not in (PUBLISH,):
            missing = [up.id for up in upstream_of(step, self.job.spec)]
            assert set(missing) <= self.finished, "upstream first"
        self.attempts.append(
            make_attempt(
                step.id,
                number=action.number,
                run=f"r{self.run}",
                job_digest=str(self.digest),
                started_at=self.now,
            )
        )
        ids = [attempt.submission_id for attempt in self.attempts]
        assert len(ids) == len(set(ids)), "an id is used twice"

    def _end(self, attempt: Attempt, event: str) -> None:
        outcome: Outcome | None = None
        if event == "ok":
            summary = {}
            if attempt.step == "prepare":
                below = tuple(self.finished - {"prepare"})
                summary = make_verdict(self.job, finished=below).dump()
            outcome = make_outcome(attempt.step, summary=summary)
            self.finished.add(attempt.step)
        elif event != "die":
            outcome = make_failure(retriable=event == "retriable")
        status = RayStatus.SUCCEEDED if event == "ok" else RayStatus.FAILED
        self._change(attempt, ray_status=status, outcome=outcome, ended_at=self.now)

    def _change(self, attempt: Attempt, **update: object) -> None:
        index = [each.submission_id for each in self.attempts].index(attempt.submission_id)
        self.attempts[index] = attempt.model_copy(update=update)


@settings(max_examples=300, deadline=None)
@given(
    events=st.lists(st.sampled_from(EVENTS), max_size=60),
    count=st.integers(1, 3),
    policy=st.sampled_from(["Continue", "FailFast"]),
)
def test_every_history_ends_without_two_attempts_at_once(
    events: list[str], count: int, policy: str
) -> None:
    world = World(job=make_students(count=count, policy=policy), events=events)
    decided = plan(world.snapshot(), world.now)
    for _ in range(MAX_TURNS):
        world.carry_out(decided)
        world.now += decided.requeue_after_s or 1.0
        world.happen()
        decided = plan(world.snapshot(), world.now)
        if decided.requeue_after_s is None and not world.events and not world.suspended:
            break
    else:
        raise AssertionError("the run doesn't end")
    assert not [attempt for attempt in world.attempts if attempt.is_live]
    states = [stage.state for stage in decided.status.stages]
    assert all(state.is_final for state in states)
    done = {stage.step for stage in decided.status.stages if stage.state == StepState.DONE}
    assert done <= world.finished
    if all(state == StepState.DONE for state in states):
        assert done == {step.id for step in steps_of(world.job.spec)}
