"""What becomes of an attempt, look by look."""

from typing import Any

import pytest

from controller.kube.api import Json
from controller.launchers.kuberay.observing import (
    ARRIVAL_GRACE_S,
    HEAD_LOST_S,
    OUTCOME_GRACE_S,
    observe,
)
from controller.launchers.kuberay.sightings import ChildView, Moment, Sightings, is_gone
from controller.plan.judgement import failure_of
from controller.plan.snapshot import Attempt, Failure, FailureKind, RayStatus
from distillery.progress import Progress
from tests.attempts import make_failure, make_outcome
from tests.unit.kuberay.child_builders import (
    NAME,
    STEP,
    make_cluster,
    make_disruption,
    make_end,
    make_live,
    make_pod,
    make_ray_job,
    make_record,
    make_unscheduled,
    make_wait,
)

START_S = 5_000.0
GOOD = make_outcome(STEP)


class Watcher:
    """Looks at one attempt again and again, as a reconciler does."""

    def __init__(self, **changes: Any) -> None:
        self.attempt = make_live(**changes)
        self.sightings = Sightings()
        self.now_s = START_S

    def look(self, *, after_s: float = 0.0, **child: Any) -> Attempt:
        """The attempt ``after_s`` seconds on, with the child as given."""
        self.now_s += after_s
        pods = child.pop("pods", (make_pod(), make_pod("submitter")))
        view = ChildView(
            ray_job=child.pop("ray_job", make_ray_job()),
            ray_cluster=child.pop("ray_cluster", make_cluster()),
            pods=tuple(pods),
            **child,
        )
        now = Moment(epoch_s=1_000_000.0 + self.now_s, monotonic_s=self.now_s)
        self.attempt, self.sightings = observe(
            self.attempt, view, sightings=self.sightings, now=now
        )
        return self.attempt

    def restart(self) -> None:
        """Forgets what only memory holds."""
        self.sightings = Sightings()


def look(**child: Any) -> Attempt:
    """A first look."""
    return Watcher().look(**child)


def failure(attempt: Attempt) -> Failure:
    """The planner's view of an ended attempt that failed."""
    assert not attempt.is_live
    found = failure_of(attempt)
    assert found is not None
    return found


def test_a_running_attempt_shows_its_progress_and_its_dashboard() -> None:
    progress = Progress(done=3, total=9, work=30)
    seen = look(record=make_record(progress))
    assert seen.is_live
    assert seen.ray_status == RayStatus.RUNNING
    assert seen.progress == progress
    assert seen.dashboard_url == f"http://{NAME}-x-head-svc.ml.svc.cluster.local:8265"
    assert (seen.waits_for, seen.evidence) == ("", None)


@pytest.mark.parametrize(
    ("deployment_status", "job_status", "want"),
    [
        ("", "", RayStatus.PENDING),
        ("Initializing", "", RayStatus.PENDING),
        ("Running", "", RayStatus.PENDING),
        ("Running", "PENDING", RayStatus.PENDING),
        ("Running", "RUNNING", RayStatus.RUNNING),
        ("Running", "SUCCEEDED", RayStatus.RUNNING),
        ("Running", "FAILED", RayStatus.RUNNING),
        ("Suspended", "", RayStatus.PENDING),
        ("Retrying", "unheard-of", RayStatus.PENDING),
    ],
)
def test_a_ray_job_that_kuberay_is_not_done_with_is_live(
    deployment_status: str, job_status: str, want: RayStatus
) -> None:
    seen = look(ray_job=make_ray_job(deployment_status, job_status))
    assert (seen.is_live, seen.ray_status) == (True, want)


def test_a_step_that_named_its_manifest_has_succeeded() -> None:
    seen = look(ray_job=make_ray_job("Complete", "SUCCEEDED"), record=make_record(outcome=GOOD))
    assert seen.ended_at == 1_000_000.0 + START_S
    assert (seen.ray_status, seen.outcome, seen.evidence) == (RayStatus.SUCCEEDED, GOOD, None)
    assert seen.dashboard_url == ""
    assert failure_of(seen) is None


def test_a_last_word_that_comes_late_is_waited_for() -> None:
    watcher = Watcher()
    done = make_ray_job("Complete", "SUCCEEDED")
    assert watcher.look(ray_job=done).is_live
    assert watcher.look(ray_job=done, after_s=OUTCOME_GRACE_S - 1).is_live
    assert failure_of(watcher.look(ray_job=done, record=make_record(outcome=GOOD))) is None


def test_success_without_a_word_is_a_failure_in_the_end() -> None:
    watcher = Watcher()
    watcher.look(ray_job=make_ray_job("Complete", "SUCCEEDED"))
    ended = watcher.look(ray_job=make_ray_job("Complete", "SUCCEEDED"), after_s=OUTCOME_GRACE_S)
    assert failure(ended).reason == "OutcomeMissing"


@pytest.mark.parametrize("changes", [{"attempt": 1}, {"attempt": 3}, {"submission_id": "other"}])
def test_the_word_of_another_attempt_is_not_taken(changes: Json) -> None:
    watcher = Watcher()
    done = make_ray_job("Complete", "SUCCEEDED")
    record = make_record(Progress(work=7), GOOD, **changes)
    assert watcher.look(ray_job=done, record=record).progress is None
    ended = watcher.look(ray_job=done, record=record, after_s=OUTCOME_GRACE_S)
    assert (ended.outcome, failure(ended).reason) == (None, "OutcomeMissing")


def test_the_drivers_own_word_goes_before_all_evidence() -> None:
    seen = look(
        ray_job=make_ray_job("Failed", "FAILED", reason="AppFailed"),
        pods=[make_pod(phase="Failed", state=make_end(137, "OOMKilled"))],
        record=make_record(outcome=make_failure("BucketMissing")),
    )
    assert failure(seen).reason == "BucketMissing"
    assert seen.evidence is not None
    assert seen.evidence.reason == "OutOfMemory"


def test_a_driver_that_spoke_needs_no_word_of_kuberay() -> None:
    seen = look(
        ray_job=make_ray_job("Failed", "FAILED", reason="AppFailed"),
        record=make_record(outcome=make_failure("BucketMissing")),
    )
    assert seen.evidence is None


@pytest.mark.parametrize(
    ("pods", "want_reason", "want_kind"),
    [
        pytest.param(
            [make_pod(phase="Failed", state=make_end(137, "OOMKilled"))],
            "OutOfMemory",
            FailureKind.OWN,
            id="out of memory",
        ),
        pytest.param(
            [make_pod(), make_pod("worker", conditions=make_disruption("DeletionByTaintManager"))],
            "Preempted",
            FailureKind.PREEMPTION,
            id="preempted",
        ),
        pytest.param([], "DriverDied", FailureKind.OWN, id="nothing known"),
    ],
)
def test_a_silent_driver_is_judged_by_pods_then_by_kuberay(
    pods: list[Json], want_reason: str, want_kind: FailureKind
) -> None:
    watcher = Watcher()
    failed = make_ray_job("Failed", "FAILED", reason="AppFailed", message="exit code -9")
    watcher.look(ray_job=failed, pods=pods)
    found = failure(watcher.look(ray_job=failed, pods=pods, after_s=OUTCOME_GRACE_S))
    assert (found.reason, found.kind, found.retriable) == (want_reason, want_kind, True)


def test_a_pods_end_is_remembered_when_the_pod_is_gone() -> None:
    watcher = Watcher()
    dead = make_pod("worker", phase="Failed", state=make_end(137, "OOMKilled"))
    watcher.look(pods=[make_pod(), dead])
    failed = make_ray_job("Failed", "FAILED", reason="AppFailed")
    watcher.look(ray_job=failed, pods=[make_pod()])
    ended = watcher.look(ray_job=failed, pods=[], after_s=OUTCOME_GRACE_S)
    assert failure(ended).reason == "OutOfMemory"


def test_the_end_of_a_pod_that_no_look_saw_is_told_by_how_it_looked_last() -> None:
    watcher = Watcher()
    watcher.look()
    dead = make_pod(phase="Failed", state=make_end(137, "OOMKilled"))
    watcher.look(pods=[], gone_pods=(dead,))
    lost = watcher.look(pods=[], after_s=HEAD_LOST_S)
    assert lost.evidence is not None
    assert lost.evidence.reason == "OutOfMemory"


def test_a_worker_that_died_does_not_stop_an_attempt_that_goes_on() -> None:
    dead = make_pod("worker", phase="Failed", state=make_end(1))
    seen = look(pods=[make_pod(), dead])
    assert (seen.is_live, seen.evidence) == (True, None)
    watcher = Watcher()
    watcher.look(pods=[make_pod(), dead])
    done = watcher.look(
        ray_job=make_ray_job("Complete", "SUCCEEDED"), record=make_record(outcome=GOOD)
    )
    assert failure_of(done) is None


def test_a_deadline_is_the_reason_whatever_happened_to_pods_before() -> None:
    watcher = Watcher()
    watcher.look(pods=[make_pod(), make_pod("worker", phase="Failed", state=make_end(1))])
    late = make_ray_job("Failed", reason="DeadlineExceeded")
    watcher.look(ray_job=late, pods=[])
    ended = watcher.look(ray_job=late, pods=[], after_s=OUTCOME_GRACE_S)
    assert failure(ended).reason == "DeadlineExceeded"
    assert ended.ray_status == RayStatus.FAILED


def test_an_attempt_past_its_deadline_is_live_while_its_driver_may_run() -> None:
    watcher = Watcher()
    late = make_ray_job("Failed", reason="DeadlineExceeded")
    going = watcher.look(ray_job=late, pods=[make_pod(deleted=True)], after_s=60.0)
    assert going.is_live
    assert watcher.look(ray_job=late, pods=[make_pod(deleted=True)], after_s=60.0).is_live
    watcher.look(ray_job=late, pods=[])
    assert not watcher.look(ray_job=late, pods=[], after_s=OUTCOME_GRACE_S).is_live


def test_a_refused_ray_job_ends_at_once_and_for_good() -> None:
    refused = make_ray_job("ValidationFailed", "", message="name should be no more than 47")
    found = failure(look(ray_job=refused, pods=[], ray_cluster=None))
    assert (found.reason, found.retriable) == ("ChildInvalid", False)


def test_an_attempt_without_a_place_names_what_is_missing_then_fails_with_it() -> None:
    watcher = Watcher()
    waits = make_pod(
        phase="Pending", state={}, conditions=make_unscheduled("0/2 nodes: 2 Insufficient gpu.")
    )
    words = "train-small: head pod head-0: finds no place, got '0/2 nodes: 2 Insufficient gpu.'; free or add what is missing, or ask for less"
    assert watcher.look(ray_job=make_ray_job("Initializing", ""), pods=[waits]).waits_for == words
    gone = make_ray_job("Failed", "", reason="PreRunningDeadlineExceeded")
    found = failure(watcher.look(ray_job=gone, pods=[], ray_cluster=None))
    assert found == Failure(
        reason="Unschedulable", message=words, retriable=True, kind=FailureKind.UNSCHEDULABLE
    )


def test_a_place_found_at_last_is_no_trouble_any_more() -> None:
    watcher = Watcher()
    starting = make_ray_job("Initializing", "")
    pull = make_pod(phase="Pending", state=make_wait("ErrImagePull"))
    assert "can't get image" in watcher.look(ray_job=starting, pods=[pull]).waits_for
    assert watcher.look(ray_job=starting).waits_for == ""
    assert watcher.sightings.blocker is None


def test_a_running_attempt_without_a_live_head_is_lost_after_a_while() -> None:
    watcher = Watcher()
    watcher.look()
    pods = [make_pod("worker")]
    assert watcher.look(pods=pods, after_s=5.0).evidence is None
    assert watcher.look(pods=pods, after_s=HEAD_LOST_S - 0.1).evidence is None
    lost = watcher.look(pods=pods, after_s=0.1)
    assert lost.is_live
    assert lost.evidence == Failure(
        reason="HeadLost",
        message=f"train-small: RayJob {NAME}: has no live head pod, got Running from KubeRay; it is stopped and tried again; see who deleted the pod",
        retriable=True,
    )


@pytest.mark.parametrize(
    "head",
    [
        make_pod(phase="Failed"),
        make_pod(deleted=True),
        make_pod(state=make_end(0, "Completed")),
    ],
    ids=["failed", "deleting", "container ended"],
)
def test_a_dying_head_is_no_live_head(head: Json) -> None:
    watcher = Watcher()
    watcher.look(pods=[head])
    assert watcher.look(pods=[head], after_s=HEAD_LOST_S).evidence is not None


def test_a_head_that_comes_back_and_a_restart_start_the_wait_anew() -> None:
    watcher = Watcher()
    watcher.look(pods=[])
    watcher.look(after_s=HEAD_LOST_S - 1)
    assert watcher.look(pods=[], after_s=1.0).evidence is None
    assert watcher.look(pods=[], after_s=HEAD_LOST_S - 1).evidence is None
    watcher.restart()
    assert watcher.look(pods=[], after_s=HEAD_LOST_S - 1).evidence is None
    assert watcher.look(pods=[], after_s=HEAD_LOST_S).evidence is not None


def test_a_lost_head_that_was_preempted_counts_as_preemption() -> None:
    watcher = Watcher()
    watcher.look(pods=[make_pod(conditions=make_disruption("PreemptionByScheduler"))])
    watcher.look(pods=[])
    lost = watcher.look(pods=[], after_s=HEAD_LOST_S)
    assert lost.evidence is not None
    assert lost.evidence.kind == FailureKind.PREEMPTION


@pytest.mark.parametrize(
    "ray_job",
    [
        make_ray_job("Initializing", ""),
        make_ray_job(suspend=True),
        make_ray_job("Suspending"),
        make_ray_job(deleted=True),
    ],
    ids=["starting", "suspended", "suspending", "deleting"],
)
def test_a_head_is_not_missed_where_none_is_due(ray_job: Json) -> None:
    watcher = Watcher()
    watcher.look(ray_job=ray_job, pods=[])
    assert watcher.look(ray_job=ray_job, pods=[], after_s=10 * HEAD_LOST_S).evidence is None


def test_an_attempt_we_stopped_for_a_reason_ends_with_that_reason() -> None:
    watcher = Watcher()
    watcher.look(pods=[])
    watcher.look(pods=[], after_s=HEAD_LOST_S)
    still = watcher.look(
        ray_job=None, ray_cluster=None, pods=[make_pod("worker", deleted=True)], is_stopping=True
    )
    assert still.is_live
    ended = watcher.look(ray_job=None, ray_cluster=None, pods=[], is_stopping=True)
    assert (failure(ended).reason, ended.ray_status) == ("HeadLost", RayStatus.STOPPED)


def test_an_attempt_we_stopped_without_a_reason_is_stopped() -> None:
    ended = look(ray_job=None, ray_cluster=None, pods=[], is_stopping=True)
    assert (ended.is_live, ended.ray_status, ended.evidence) == (False, RayStatus.STOPPED, None)


def test_a_deleted_ray_job_ends_the_attempt_once_its_pods_are_gone() -> None:
    watcher = Watcher()
    watcher.look()
    assert watcher.look(ray_job=make_ray_job(deleted=True)).is_live
    assert watcher.look(ray_job=None).is_live
    assert watcher.look(ray_job=None, ray_cluster=None, pods=[make_pod(deleted=True)]).is_live
    ended = watcher.look(ray_job=None, ray_cluster=None, pods=[])
    assert failure(ended) == Failure(
        reason="ChildDeleted",
        message=f"train-small: RayJob {NAME}: was deleted by somebody else, got none; the step is tried again; to stop a job set spec.suspend",
        retriable=True,
    )


def test_a_finished_step_stays_finished_without_its_ray_job() -> None:
    ended = Watcher(outcome=GOOD)
    ended.look()
    gone = ended.look(ray_job=None, ray_cluster=None, pods=[])
    assert (gone.ray_status, failure_of(gone)) == (RayStatus.SUCCEEDED, None)


def test_a_ray_job_that_is_not_in_the_cache_yet_is_not_taken_for_deleted() -> None:
    watcher = Watcher()
    nothing: Json = {"ray_job": None, "ray_cluster": None, "pods": []}
    assert watcher.look(**nothing).is_live
    assert watcher.look(**nothing, after_s=ARRIVAL_GRACE_S - 1).is_live
    ended = watcher.look(**nothing, after_s=1.0)
    assert failure(ended).reason == "ChildDeleted"


def test_an_ended_attempt_lingers_until_cluster_and_pods_are_gone() -> None:
    watcher = Watcher()
    done = make_ray_job("Complete", "SUCCEEDED")
    record = make_record(outcome=GOOD)
    assert watcher.look(ray_job=done, record=record).lingers
    ended_at = watcher.attempt.ended_at
    assert watcher.look(ray_job=done, ray_cluster=None, after_s=5.0).lingers
    left = [make_pod("submitter"), make_pod("worker", phase="Failed")]
    gone = watcher.look(ray_job=done, ray_cluster=None, pods=left)
    assert (gone.lingers, gone.ended_at) == (False, ended_at)


def test_is_gone_wants_no_cluster_and_no_pod_at_work() -> None:
    assert is_gone(ChildView())
    assert not is_gone(ChildView(ray_cluster=make_cluster()))
    assert not is_gone(ChildView(pods=(make_pod(),)))
    assert is_gone(ChildView(pods=(make_pod("submitter"), make_pod("worker", phase="Failed"))))
    assert not is_gone(ChildView(pods=(make_pod(phase="Pending", state={}, deleted=True),)))


WORKLOAD: Json = {
    "status": {
        "conditions": [
            {
                "type": "QuotaReserved",
                "status": "False",
                "message": "insufficient unused quota for nvidia.com/gpu, 8 more needed",
            }
        ]
    }
}


@pytest.mark.parametrize(
    ("workload", "want"),
    [
        (
            None,
            "train-small: waits to be admitted in queue gpus, got no quota yet; see kubectl describe workload",
        ),
        (
            WORKLOAD,
            "train-small: waits to be admitted in queue gpus, got 'insufficient unused quota for nvidia.com/gpu, 8 more needed'; see kubectl describe workload",
        ),
    ],
    ids=["unknown", "told"],
)
def test_an_attempt_in_kueues_queue_says_so(workload: Json | None, want: str) -> None:
    queued = make_ray_job("Suspended", "", suspend=True, queue="gpus")
    seen = look(ray_job=queued, pods=[], ray_cluster=None, workload=workload)
    assert (seen.is_live, seen.waits_for, seen.ray_status) == (True, want, RayStatus.PENDING)


def test_an_attempt_that_kueue_evicts_waits_and_goes_on() -> None:
    watcher = Watcher()
    watcher.look()
    evicted = make_ray_job("Suspended", "", suspend=True, queue="gpus")
    waits = watcher.look(ray_job=evicted, pods=[], ray_cluster=None)
    assert waits.waits_for == (
        "train-small: was evicted by Kueue and waits again in queue gpus, got no quota yet; "
        "see kubectl describe workload"
    )
    assert watcher.look(ray_job=evicted, pods=[], ray_cluster=None, after_s=9_999.0).is_live
    back = watcher.look(ray_job=make_ray_job(queue="gpus"))
    assert (back.waits_for, back.ray_status, back.evidence) == ("", RayStatus.RUNNING, None)


def test_an_evicted_attempt_that_goes_for_good_was_preempted() -> None:
    watcher = Watcher()
    watcher.look()
    watcher.look(ray_job=make_ray_job("Suspended", "", suspend=True, queue="gpus"), pods=[])
    ended = watcher.look(ray_job=None, ray_cluster=None, pods=[])
    assert failure(ended) == Failure(
        reason="Preempted",
        message=f"train-small: RayJob {NAME}: was evicted by Kueue, and is gone, got none; the step is tried again and goes on from what is stored",
        retriable=True,
        kind=FailureKind.PREEMPTION,
    )


def test_a_ray_job_that_somebody_suspended_says_how_to_go_on() -> None:
    seen = look(ray_job=make_ray_job("Suspended", "", suspend=True), pods=[])
    assert seen.waits_for == (
        f"train-small: RayJob {NAME}: is suspended by somebody else, got spec.suspend true; "
        "set it to false, or set spec.suspend of the job"
    )


def test_a_ray_job_that_nobody_looks_at_asks_for_kuberay() -> None:
    watcher = Watcher()
    fresh = make_ray_job("", "")
    assert watcher.look(ray_job=fresh, pods=[]).waits_for == ""
    assert watcher.look(ray_job=fresh, pods=[], after_s=ARRIVAL_GRACE_S).waits_for == (
        f"train-small: RayJob {NAME}: KubeRay takes no notice of it, got no status; "
        "see that its operator runs and watches this namespace"
    )


def test_a_ray_job_stopped_in_the_dashboard_is_stopped_from_outside() -> None:
    watcher = Watcher()
    stopped = make_ray_job("Complete", "STOPPED")
    watcher.look(ray_job=stopped)
    ended = watcher.look(ray_job=stopped, after_s=OUTCOME_GRACE_S)
    assert failure(ended).reason == "StoppedFromOutside"
