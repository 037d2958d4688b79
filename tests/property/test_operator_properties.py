"""Random histories of a job in a cluster: faults, crashes between any two requests, lost events.

The operator runs on the in-memory API server with our double of KubeRay, all on one clock. After
every look: no step has two live children, and no finished step gets another. In the end the job
is finished, whatever has happened on the way.
"""

import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.kube.api import Json
from controller.kube.resources import RAY_JOBS
from controller.launchers.kuberay.labels import ATTEMPT, RUN, STEP
from distillery.conditions import ConditionType
from distillery.status import StepState
from tests.attempts import make_outcome, make_verdict
from tests.builders import make_document, make_job
from tests.doubles.api_server import ApiServer
from tests.doubles.chaos import ChaosApi, Crash, Mishap
from tests.doubles.clock import VirtualClock
from tests.doubles.kuberay.behaviour import Behaviour, DriverEnd, Timing, fails
from tests.doubles.kuberay.fates import deleted, oom_killed, preempted
from tests.doubles.kuberay.operator import KubeRayDouble
from tests.operator_world import NAMESPACE, OperatorWorld

MAX_TURNS = 900
NUM_CALM_TURNS = 25
"""After so many turns with mishaps everything goes well, so that the end is reached."""
WRITE_MISHAPS = [each for each in Mishap if each != Mishap.NONE]
READ_MISHAPS = [Mishap.UNREACHABLE, Mishap.THROTTLED]
EVENTS = ("none", "none", "restart", "delete child", "suspend", "resume", "stale", "compact")


@dataclass
class History:
    """A world, and chance. ``finished``: steps whose manifest lies in storage."""

    rng: random.Random
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(start=1_800_000_000.0))
    finished: set[str] = field(default_factory=set)
    is_calm: bool = False
    num_born: int = 0
    seen: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = ApiServer(now_s=self.clock.now, clock=self.clock)
        self.kuberay = KubeRayDouble(
            self.server,
            behave=self._behave,
            timing=Timing().scaled(0.1),
            collect_garbage=self.server.collect_garbage,
        )
        api = ChaosApi(self.server, draw=self._draw, draw_read=self._draw_read)
        self.world = OperatorWorld(self.server, self.clock, api=api)

    def play(self) -> None:
        """Goes on until the job is finished."""
        document = make_document(storage={"uri": "s3://bucket/store"}, retries__maxAttempts=20)
        document["metadata"]["namespace"] = NAMESPACE
        self.world.apply(document)
        for turn in range(MAX_TURNS):
            self.is_calm = turn >= NUM_CALM_TURNS
            if turn == NUM_CALM_TURNS:
                self.world.change({"suspend": False})
            event = "none" if self.is_calm else self.rng.choice(EVENTS)
            self._happen(event)
            self._turn(is_stale=event == "stale")
            self._check()
            if self.is_calm and self.world.job().status.is_true(ConditionType.FINISHED):
                return
        raise AssertionError(f"the job doesn't end: {self.world.job().status.summary}")

    def _turn(self, *, is_stale: bool) -> None:
        try:
            for _ in range(self.rng.randint(1, 12) if not self.is_calm else 40):
                if not is_stale or self.rng.random() < 0.3:
                    self.world.pump()
                if not self.world.workers.step(timeout_s=0.0):
                    break
        except Crash:
            self.world.start()
        self.clock.advance(15.0 if self.is_calm else self.rng.choice((0.5, 1.0, 2.0, 10.0, 40.0)))
        self.kuberay.step(self.clock.now())

    def _happen(self, event: str) -> None:
        match event:
            case "restart":
                self.world.start()
            case "delete child":
                if children := self.world.children():
                    metadata = self.rng.choice(children)["metadata"]
                    self._forget_unrecorded(metadata)
                    self.server.delete(
                        RAY_JOBS,
                        namespace=NAMESPACE,
                        name=metadata["name"],
                        uid=metadata["uid"],
                    )
            case "suspend" | "resume":
                self.world.change({"suspend": event == "suspend"})
            case "compact":
                self.server.compact()

    def _forget_unrecorded(self, metadata: Json) -> None:
        """A child somebody deletes before the operator has ever told of it leaves no trace: its
        number, and so its name, may be given again."""
        step, number = metadata["labels"][STEP], int(metadata["labels"][ATTEMPT])
        stages = self.world.job().status.stages
        if not any(each.step == step and each.attempt >= number for each in stages):
            self.uids.pop(metadata["name"], None)

    def _behave(self, ray_job: Json) -> Behaviour:
        labels = ray_job["metadata"]["labels"]
        step = labels[STEP]
        kind = "ok" if self.is_calm else self.rng.choice(("ok", "ok", "fail", "oom", "gone", "pre"))
        match kind:
            case "fail":
                return fails("Broken", retriable=True, runs_s=2)
            case "oom":
                return Behaviour(end=DriverEnd.NEVER, fates=(oom_killed(after_s=2),))
            case "gone":
                return Behaviour(end=DriverEnd.NEVER, fates=(deleted(after_s=2),))
            case "pre":
                return Behaviour(end=DriverEnd.NEVER, fates=(preempted(after_s=2),))
        summary = {}
        if step == "prepare":
            below = tuple(self.finished - {"prepare"})
            summary = make_verdict(make_job(), finished=below).dump()
        self.finished.add(step)
        return Behaviour(runs_s=2, outcome=make_outcome(step, summary=summary))

    def _check(self) -> None:
        live: dict[str, list[str]] = {}
        for child in self.world.children():
            metadata, status = child["metadata"], child.get("status") or {}
            step, name = metadata["labels"][STEP], metadata["name"]
            if status.get("jobDeploymentStatus") not in ("Complete", "Failed"):
                live.setdefault(step, []).append(name)
            if name not in self.seen:
                self._check_new(child)
            assert self.uids.setdefault(name, metadata["uid"]) == metadata["uid"], (
                f"{name} was made twice"
            )
        for step, names in live.items():
            assert len(names) < 2, f"{step} has two live children: {names}"

    def _check_new(self, child: Json) -> None:
        labels = child["metadata"]["labels"]
        step, run = labels[STEP], int(labels[RUN])
        self.seen[child["metadata"]["name"]] = f"{step} {labels[ATTEMPT]}"
        done = [
            stage
            for stage in self.world.job().status.stages
            if stage.step == step and stage.state == StepState.DONE and stage.run == run
        ]
        assert not done, f"{step} is finished in run {run} and has got another child"
        numbers = [int(text.split()[1]) for text in self.seen.values() if text.split()[0] == step]
        assert len(numbers) == len(set(numbers)), f"{step} has two attempts of one number"

    def _draw(self) -> Mishap:
        if self.is_calm or self.rng.random() < 0.85:
            return Mishap.NONE
        return self.rng.choice(WRITE_MISHAPS)

    def _draw_read(self) -> Mishap:
        if self.is_calm or self.rng.random() < 0.95:
            return Mishap.NONE
        return self.rng.choice(READ_MISHAPS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_no_history_doubles_a_child_or_keeps_the_job_from_its_end(seed: int) -> None:
    History(rng=random.Random(seed)).play()
