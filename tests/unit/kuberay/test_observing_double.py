"""Attempts observed while the double of KubeRay lives them: what a reconciler would see, and do."""

import pytest

from controller.kube.resources import CONFIG_MAPS, PODS, RAY_CLUSTERS, RAY_JOBS
from controller.launchers.kuberay.observing import observe
from controller.launchers.kuberay.projections import (
    project_pod,
    project_ray_cluster,
    project_ray_job,
)
from controller.launchers.kuberay.rayjob import build_ray_job
from controller.launchers.kuberay.sightings import ChildView, Moment, Sightings
from controller.plan.judgement import failure_of
from controller.plan.snapshot import Attempt, FailureKind, RayStatus
from distillery.progress import StepRecord
from distillery.steps import Step, steps_of
from tests.attempts import make_attempt
from tests.doubles.kuberay.behaviour import (
    Behaviour,
    DriverEnd,
    PodFate,
    Script,
    fails,
    hangs,
    succeeds,
)
from tests.doubles.kuberay.fates import (
    crashed,
    deleted,
    evicted,
    image_missing,
    node_shut_down,
    oom_killed,
    preempted,
    secret_missing,
    unschedulable,
)
from tests.unit.doubles.kuberay_lab import NAME, Lab, make_lab
from tests.unit.kuberay.launches import GPU_CHANGES, INSTALLATION, make_cluster_job, make_launch

STEP = "train-small"
GPU_JOB = make_cluster_job(**GPU_CHANGES)
DEADLINE_S = 2_000


class Observer:
    """Looks at the attempt each second and stops it where there is evidence against it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.attempt = make_attempt(STEP, submission_id=NAME, ray_status=RayStatus.PENDING)
        self.sightings = Sightings()
        self.is_stopping = False
        self.waits: list[str] = []

    def look(self) -> Attempt:
        """One second, one look."""
        self.lab.step()
        server = self.lab.server
        ray_jobs = [project_ray_job(each) for each in server.objects(RAY_JOBS)]
        clusters = [project_ray_cluster(each) for each in server.objects(RAY_CLUSTERS)]
        child = ChildView(
            ray_job=ray_jobs[0] if ray_jobs else None,
            ray_cluster=clusters[0] if clusters else None,
            pods=tuple(project_pod(each) for each in server.objects(PODS)),
            record=self.lab.record(),
            is_stopping=self.is_stopping,
        )
        now = Moment(epoch_s=self.lab.now_s, monotonic_s=self.lab.now_s - 5.0)
        self.attempt, self.sightings = observe(
            self.attempt, child, sightings=self.sightings, now=now
        )
        if self.attempt.waits_for and self.attempt.waits_for not in self.waits:
            self.waits.append(self.attempt.waits_for)
        if self.attempt.evidence is not None and self.attempt.is_live:
            self.delete()
            self.is_stopping = True
        return self.attempt

    def delete(self) -> None:
        """Deletes the RayJob."""
        for each in self.lab.server.objects(RAY_JOBS):
            self.lab.server.delete(
                RAY_JOBS, namespace="default", name=NAME, uid=each["metadata"]["uid"]
            )

    def end(self) -> Attempt:
        """The attempt once it has ended and nothing of it is left."""
        for _ in range(DEADLINE_S):
            self.look()
            if not self.attempt.is_live and not self.attempt.lingers:
                return self.attempt
        raise AssertionError(f"never ended: {self.attempt}, {self.lab.status()}")


def make_observer(script: Script, *, workers: int = 0) -> Observer:
    """An observer of one RayJob that follows ``script``."""
    return Observer(make_lab(script, workers=workers))


def with_fate(fate: PodFate) -> Behaviour:
    """A step that would run for ever but for what befalls a pod."""
    return Behaviour(end=DriverEnd.NEVER, fates=(fate,))


def test_a_good_attempt_succeeds() -> None:
    observer = make_observer(succeeds(STEP), workers=1)
    ended = observer.end()
    assert (ended.ray_status, failure_of(ended)) == (RayStatus.SUCCEEDED, None)
    assert ended.outcome is not None
    assert ended.outcome.manifest is not None
    assert observer.waits == []


OWN, PREEMPTION, UNSCHEDULABLE = FailureKind


@pytest.mark.parametrize(
    ("script", "want_reason", "want_kind"),
    [
        pytest.param(fails("BucketMissing", retriable=False), "BucketMissing", OWN, id="own word"),
        pytest.param(Behaviour(end=DriverEnd.FAILED), "DriverDied", OWN, id="silent"),
        pytest.param(Behaviour(), "OutcomeMissing", OWN, id="no manifest"),
        pytest.param(
            Behaviour(end=DriverEnd.STOPPED), "StoppedFromOutside", OWN, id="stopped in dashboard"
        ),
        pytest.param(hangs(), "DeadlineExceeded", OWN, id="too long"),
        pytest.param(with_fate(oom_killed(after_s=30.0)), "OutOfMemory", OWN, id="head oom"),
        pytest.param(with_fate(crashed(after_s=30.0)), "ContainerFailed", OWN, id="head crash"),
        pytest.param(with_fate(evicted(after_s=30.0)), "Evicted", OWN, id="head evicted"),
        pytest.param(
            with_fate(node_shut_down(after_s=30.0)), "Preempted", PREEMPTION, id="node shut down"
        ),
        pytest.param(
            with_fate(preempted(after_s=30.0, reason="DeletionByTaintManager")),
            "Preempted",
            PREEMPTION,
            id="node lost",
        ),
        pytest.param(with_fate(deleted(after_s=30.0)), "HeadLost", OWN, id="head deleted"),
        pytest.param(
            with_fate(unschedulable("worker")), "Unschedulable", UNSCHEDULABLE, id="no place"
        ),
        pytest.param(with_fate(image_missing()), "ImagePullFailed", OWN, id="no image"),
        pytest.param(
            with_fate(secret_missing("s3")), "ContainerConfigInvalid", OWN, id="no secret"
        ),
        pytest.param(
            Behaviour(
                fates=tuple(crashed("submitter", after_s=1.0, index=index) for index in range(3))
            ),
            "SubmissionFailed",
            OWN,
            id="submitter",
        ),
    ],
)
def test_a_bad_attempt_ends_with_its_true_cause(
    script: Script, want_reason: str, want_kind: FailureKind
) -> None:
    lab = make_lab(script, workers=1, activeDeadlineSeconds=180)
    ended = Observer(lab).end()
    failure = failure_of(ended)
    assert failure is not None
    assert (failure.reason, failure.kind) == (want_reason, want_kind)
    assert lab.double.ray.num_starts.get(NAME, 0) <= 1


def test_what_a_pending_attempt_waits_for_is_told_while_it_waits() -> None:
    observer = make_observer(with_fate(unschedulable("worker")), workers=1)
    observer.end()
    (wait,) = observer.waits
    assert "finds no place, got '0/3 nodes are available: 3 Insufficient nvidia.com/gpu.'" in wait


def test_a_worker_lost_on_the_way_is_no_failure() -> None:
    good = succeeds(STEP)
    script = Behaviour(
        runs_s=100.0, outcome=good.outcome, fates=(preempted("worker", after_s=20.0),)
    )
    assert failure_of(make_observer(script, workers=2).end()) is None


def test_a_ray_job_deleted_by_somebody_else_is_noticed_once_its_pods_are_gone() -> None:
    observer = make_observer(Behaviour(end=DriverEnd.NEVER, pods_linger_s=20.0))
    while observer.look().ray_status != RayStatus.RUNNING:
        pass
    observer.delete()
    for _ in range(15):
        assert observer.look().is_live
    failure = failure_of(observer.end())
    assert failure is not None
    assert (failure.reason, failure.retriable) == ("ChildDeleted", True)
    assert observer.lab.pods() == []


def test_an_ended_attempt_lingers_as_long_as_its_pods() -> None:
    good = succeeds(STEP)
    observer = make_observer(Behaviour(outcome=good.outcome, pods_linger_s=25.0))
    while observer.look().is_live:
        pass
    lingered_s = 0
    while observer.attempt.lingers:
        observer.look()
        lingered_s += 1
    assert lingered_s >= 25
    assert failure_of(observer.attempt) is None


@pytest.mark.parametrize("step", steps_of(GPU_JOB.spec), ids=lambda step: step.id)
def test_every_step_of_ours_runs_to_its_end_on_the_double(step: Step) -> None:
    lab = Lab(succeeds(step.id))
    ray_job = build_ray_job(make_launch(GPU_JOB, step), INSTALLATION)
    del ray_job["metadata"]["ownerReferences"]
    lab.apply(ray_job)
    for _ in range(120):
        lab.step()
    (status,) = [each["status"] for each in lab.server.objects(RAY_JOBS)]
    assert (status["jobDeploymentStatus"], status["jobStatus"]) == ("Complete", "SUCCEEDED")
    assert lab.double.faults == []
    record = StepRecord.model_validate_json(
        lab.server.fetch(CONFIG_MAPS, namespace="default", name="sums-progress")["data"][step.id]
    )
    assert (record.attempt, record.submission_id) == (1, ray_job["metadata"]["name"])
