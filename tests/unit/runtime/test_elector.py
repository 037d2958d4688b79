"""The elector on an API server in memory, with a clock turned by hand: one leader, and when."""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.kube.api import Json
from controller.kube.faults import ThrottledError, UnreachableError
from controller.kube.resources import LEASES, Resource
from controller.runtime.elector import Elector, Phase
from controller.runtime.lease import Candidacy, LeaseTiming
from tests.doubles.api_server import START_S, ApiServer, Verb
from tests.doubles.clock import PATIENCE_S, VirtualClock
from tests.doubles.timed_api import TimedServer

LOGGER = "controller.runtime.elector"


@dataclass(kw_only=True)
class Arena:
    """A server, a clock, and what the electors have told."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    server: ApiServer = field(default_factory=ApiServer)
    told: list[str] = field(default_factory=list)
    timed: TimedServer = field(init=False)

    def __post_init__(self) -> None:
        self.timed = TimedServer(self.server)

    def elector(self, identity: str, *, wall: Callable[[], float] = lambda: START_S) -> Elector:
        return Elector(
            self.timed,
            candidacy=Candidacy(namespace="default", name="distillery", identity=identity),
            clock=self.clock,
            wall=wall,
            on_started=lambda: self.told.append(f"{identity} started"),
            on_lost=lambda: self.told.append(f"{identity} lost"),
        )

    def leader(self, identity: str) -> Elector:
        """An elector that leads a lease that was there before."""
        elector = self.elector(identity)
        self.free_lease()
        elector.step()
        self.clock.advance(1)
        elector.step()
        assert elector.is_leading()
        self.told.clear()
        return elector

    def free_lease(self) -> None:
        """A lease that somebody has freed."""
        self.give_lease(leaseDurationSeconds=1)

    def give_lease(self, **spec: Any) -> None:
        """A lease with this spec."""
        metadata = {"namespace": "default", "name": "distillery"}
        self.server.create(LEASES, {"metadata": metadata, "spec": spec})

    @property
    def lease(self) -> Json:
        return self.server.fetch(LEASES, namespace="default", name="distillery")

    @property
    def holder(self) -> str | None:
        holder: str | None = self.lease["spec"].get("holderIdentity")
        return holder

    def edit(self, patch: Json) -> None:
        self.server.merge(LEASES, namespace="default", name="distillery", patch=patch)

    def delete(self) -> None:
        uid = self.lease["metadata"]["uid"]
        self.server.delete(LEASES, namespace="default", name="distillery", uid=uid)

    def go_on(self, elector: Elector, seconds: float) -> None:
        """Has the elector step for so long as its thread would."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.advance(min(elector.step(), end - self.clock.now()))


def unreachable(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception:
    return UnreachableError("api server: no answer, got a timeout; check it", reason="Timeout")


def throttled(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception:
    return ThrottledError("api server: too busy", reason="TooManyRequests", delay_s=60)


def test_missing_lease_is_made_at_once_and_held_after_its_duration() -> None:
    arena = Arena()
    elector = arena.elector("a")
    elector.step()
    assert arena.lease["spec"] == {"leaseDurationSeconds": 15, "leaseTransitions": 0}
    arena.clock.advance(14.9)
    elector.step()
    assert not elector.is_leading()
    arena.clock.advance(0.1)
    elector.step()
    assert arena.lease["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 1,
    }
    assert arena.told == ["a started"]
    assert elector.phase is Phase.LEADING
    assert elector.remaining_s() == 10.0


def test_freed_lease_is_taken_after_a_second() -> None:
    arena = Arena()
    arena.give_lease(leaseDurationSeconds=1, leaseTransitions=4)
    elector = arena.elector("a")
    assert elector.step() == 1.0
    arena.clock.advance(1)
    elector.step()
    assert elector.is_leading()
    assert arena.lease["spec"]["leaseTransitions"] == 5


@pytest.mark.parametrize(
    ("spec", "want_s"),
    [
        pytest.param({}, 15, id="no spec"),
        pytest.param({"leaseDurationSeconds": 15}, 15, id="holder taken out by hand"),
        pytest.param({"holderIdentity": "b", "leaseDurationSeconds": 15}, 15, id="held"),
        pytest.param({"holderIdentity": "b", "leaseDurationSeconds": 60}, 60, id="held for longer"),
        pytest.param({"holderIdentity": "b", "leaseDurationSeconds": 1}, 15, id="held for less"),
        pytest.param({"holderIdentity": "b"}, 15, id="held without a duration"),
    ],
)
def test_lease_is_taken_when_it_has_stood_still_for_its_duration(
    spec: dict[str, Any], want_s: float
) -> None:
    arena = Arena()
    arena.give_lease(**spec)
    elector = arena.elector("a")
    elector.step()
    arena.clock.advance(want_s - 0.1)
    elector.step()
    assert not elector.is_leading()
    arena.clock.advance(0.1)
    elector.step()
    assert elector.is_leading()


@pytest.mark.parametrize("renewed", ["1970-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])
def test_dates_of_a_holder_with_a_wrong_clock_do_not_matter(renewed: str) -> None:
    arena = Arena()
    arena.give_lease(holderIdentity="b", leaseDurationSeconds=15, renewTime=renewed)
    elector = arena.elector("a")
    elector.step()
    arena.clock.advance(14.9)
    elector.step()
    assert not elector.is_leading()
    arena.clock.advance(0.1)
    elector.step()
    assert elector.is_leading()


def test_renewals_are_seen_even_of_a_holder_whose_clock_stands_still() -> None:
    arena = Arena()
    leader, other = arena.leader("a"), arena.elector("b")
    for _ in range(100):
        arena.clock.advance(2)
        leader.step()
        other.step()
        assert leader.is_leading()
        assert not other.is_leading()
    assert arena.lease["spec"]["renewTime"] == "2026-01-01T00:00:00.000100Z"


def test_leader_renews_every_two_seconds_and_stays() -> None:
    arena = Arena()
    leader = arena.leader("a")
    waits = set()
    for _ in range(50):
        waits.add(leader.step())
        arena.clock.advance(2)
        assert leader.remaining_s() == 8.0
    assert waits == {2.0}
    assert arena.told == []


def test_dead_leader_is_followed_in_less_than_20_s() -> None:
    arena = Arena()
    leader, other = arena.leader("a"), arena.elector("b")
    arena.go_on(other, 7)
    leader.step()
    died_at = arena.clock.now()
    while not other.is_leading():
        arena.clock.advance(other.step())
    assert arena.clock.now() - died_at < 20
    assert arena.holder == "b"


def test_paused_leader_knows_at_once_when_it_wakes() -> None:
    arena = Arena()
    leader = arena.leader("a")
    before = arena.lease
    arena.clock.advance(60)
    assert leader.remaining_s() <= 0
    assert not leader.is_leading()
    leader.step()
    assert leader.phase is Phase.LOST
    assert arena.told == ["a lost"]
    assert arena.lease == before


def test_leader_paused_while_its_renewal_was_answered_has_lost() -> None:
    arena = Arena()
    leader = arena.leader("a")

    def pause(verb: Verb, resource: Resource, namespace: str, name: str) -> None:
        arena.clock.advance(60)

    arena.server.lost_answer = pause
    leader.step()
    assert leader.phase is Phase.LOST
    assert arena.told == ["a lost"]


def test_claim_of_a_lease_renewed_meanwhile_fails() -> None:
    arena = Arena()
    arena.give_lease(holderIdentity="a", leaseDurationSeconds=15)
    other = arena.elector("b")
    other.step()
    arena.clock.advance(15)

    def renew_first(verb: Verb, resource: Resource, namespace: str, name: str) -> None:
        if verb is Verb.PATCH:
            arena.server.fault = None
            arena.edit({"spec": {"renewTime": "2026-01-01T00:00:09.000000Z"}})

    arena.server.fault = renew_first
    other.step()
    assert other.phase is Phase.CANDIDATE
    assert arena.holder == "a"
    arena.clock.advance(14)
    other.step()
    assert other.phase is Phase.CANDIDATE


def test_silence_of_the_api_until_the_deadline_loses_the_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.server.fault = unreachable
    arena.go_on(leader, 9.9)
    assert leader.is_leading()
    assert arena.told == []
    arena.go_on(leader, 0.2)
    leader.step()
    assert arena.told == ["a lost"]
    want = (
        "lease is lost identity=a why=no renewal was accepted for 10 s: api server: no answer, "
        "got a timeout; check it"
    )
    assert want in caplog.text
    assert caplog.text.count("lease request failed identity=a") == 1


def test_silence_that_ends_in_time_loses_nothing() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.server.fault = unreachable
    arena.go_on(leader, 8)
    arena.server.fault = None
    arena.go_on(leader, 30)
    assert leader.is_leading()
    assert arena.told == []


def test_renewal_whose_answer_was_lost_is_renewed_again() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.server.lost_answer = unreachable
    leader.step()
    arena.server.lost_answer = None
    arena.clock.advance(2)
    leader.step()
    assert leader.remaining_s() == 10
    assert arena.told == []


def test_claim_whose_answer_was_lost_is_claimed_again_at_once() -> None:
    arena = Arena()
    arena.free_lease()
    elector = arena.elector("a")
    elector.step()
    arena.clock.advance(1)
    arena.server.lost_answer = unreachable
    elector.step()
    assert (elector.phase, arena.holder) == (Phase.CANDIDATE, "a")
    arena.server.lost_answer = None
    elector.step()
    assert elector.is_leading()


def test_conflict_with_another_writer_is_renewed_again() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.edit({"metadata": {"labels": {"seen": "yes"}}})
    arena.clock.advance(2)
    leader.step()
    assert leader.remaining_s() == 10
    assert arena.told == []


def test_lease_given_to_another_by_hand_is_lost_at_the_next_renewal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.edit({"spec": {"holderIdentity": "b"}})
    leader.step()
    assert leader.phase is Phase.LOST
    assert leader.remaining_s() <= 0
    assert arena.holder == "b"
    assert "lease is lost identity=a why=it is held by b" in caplog.text


def test_lease_freed_by_hand_is_claimed_again_by_the_leader() -> None:
    arena = Arena()
    leader, other = arena.leader("a"), arena.elector("b")
    arena.edit({"spec": {"holderIdentity": None}})
    other.step()
    arena.clock.advance(2)
    leader.step()
    other.step()
    assert leader.remaining_s() == 10
    assert arena.holder == "a"
    assert not other.is_leading()


def test_lost_lease_is_never_claimed_again() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.edit({"spec": {"holderIdentity": "b"}})
    leader.step()
    arena.edit({"spec": {"holderIdentity": None, "leaseDurationSeconds": 1}})
    arena.go_on(leader, 100)
    assert arena.holder is None
    assert arena.told == ["a lost"]


def test_deleted_lease_is_made_again_by_the_leader_before_others_may() -> None:
    arena = Arena()
    leader, other = arena.leader("a"), arena.elector("b")
    other.step()
    arena.delete()
    for _ in range(20):
        other.step()
        leader.step()
        arena.clock.advance(2)
        assert (leader.is_leading(), other.is_leading()) == (True, False)
    assert arena.holder == "a"
    assert arena.told == []


def test_deleted_lease_that_another_has_made_is_lost() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.delete()
    arena.give_lease(holderIdentity="b", leaseDurationSeconds=15)
    leader.step()
    assert arena.told == ["a lost"]
    assert arena.holder == "b"


def test_lease_deleted_unseen_does_not_shorten_the_wait() -> None:
    arena = Arena()
    other = arena.elector("b")
    other.step()
    arena.delete()
    arena.clock.advance(16)
    leader = arena.leader("a")
    arena.delete()
    other.step()
    assert leader.is_leading()
    assert not other.is_leading()
    leader.step()
    assert arena.holder == "a"


def test_deleted_lease_of_a_leader_cut_off_is_not_taken_while_it_leads() -> None:
    arena = Arena()
    leader, other = arena.leader("a"), arena.elector("b")
    arena.delete()
    while not other.is_leading():
        assert arena.clock.now() < 1100
        arena.clock.advance(other.step())
    assert not leader.is_leading()


def test_stop_frees_the_lease_and_the_next_leads_soon() -> None:
    arena = Arena()
    leader, other = arena.leader("a"), arena.elector("b")
    other.step()
    assert leader.stop()
    assert leader.phase is Phase.STOPPED
    assert leader.remaining_s() <= 0
    assert arena.told == []
    spec = arena.lease["spec"]
    assert ("holderIdentity" in spec, spec["leaseDurationSeconds"]) == (False, 1)
    freed_at = arena.clock.now()
    while not other.is_leading():
        arena.clock.advance(other.step())
    assert arena.clock.now() - freed_at <= 3.5
    assert arena.lease["spec"]["leaseTransitions"] == 2


def test_stop_of_a_candidate_writes_nothing() -> None:
    arena = Arena()
    arena.leader("a")
    other = arena.elector("b")
    other.step()
    before = arena.lease
    assert other.stop()
    other.step()
    assert arena.lease == before


def test_stop_after_the_loss_frees_nobody_elses_lease() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.edit({"spec": {"holderIdentity": "b"}})
    leader.step()
    before = arena.lease
    leader.stop()
    assert leader.phase is Phase.LOST
    assert arena.lease == before


def test_lease_that_could_not_be_freed_runs_out(caplog: pytest.LogCaptureFixture) -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.server.fault = unreachable
    assert leader.stop()
    assert "lease was not freed, runs out by itself error=api server: no answer" in caplog.text


def test_throttled_leader_tries_again_before_its_deadline() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.server.fault = throttled
    assert leader.step() == 5.0
    arena.server.fault = None
    arena.clock.advance(5)
    leader.step()
    assert leader.remaining_s() == 10


def test_throttled_candidate_waits_as_it_was_told() -> None:
    arena = Arena()
    arena.server.fault = throttled
    assert arena.elector("a").step() == 60


def test_replicas_look_at_different_times() -> None:
    arena = Arena()
    arena.leader("z")
    waits = [arena.elector(identity).step() for identity in ("a", "b", "c")]
    assert len(set(waits)) == 3
    assert all(2.0 <= wait_s <= 2.4 for wait_s in waits)


def test_requests_are_limited_to_half_the_deadline_and_to_what_remains() -> None:
    arena = Arena()
    leader = arena.leader("a")
    arena.timed.timeouts.clear()
    leader.step()
    arena.clock.advance(9)
    leader.step()
    assert arena.timed.timeouts == [5.0, 1.0]


def test_holder_is_known_to_all(caplog: pytest.LogCaptureFixture) -> None:
    arena = Arena()
    arena.leader("a")
    other = arena.elector("b")
    with caplog.at_level(logging.INFO, logger=LOGGER):
        other.step()
    assert other.holder == "a"
    assert "lease has a holder holder=a" in caplog.text


@pytest.mark.parametrize("values", [(10, 10, 2), (15, 4, 2), (15, 10, 0)])
def test_timing_without_a_margin_is_refused(values: tuple[float, float, float]) -> None:
    want = (
        "lease timing: must be duration > renew deadline > 2 x retry > 0, got "
        f"{values[0]}, {values[1]} and {values[2]} s; use 15, 10 and 2"
    )
    with pytest.raises(ValueError, match=re.escape(want)):
        LeaseTiming(duration_s=values[0], renew_deadline_s=values[1], retry_s=values[2])


@dataclass(kw_only=True)
class Threaded:
    """An elector in threads, and what it tells."""

    arena: Arena = field(default_factory=Arena)
    started: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    on_started: Callable[[], None] = lambda: None
    elector: Elector = field(init=False)

    def __post_init__(self) -> None:
        def start() -> None:
            self.started.set()
            self.on_started()

        self.elector = Elector(
            self.arena.timed,
            candidacy=Candidacy(namespace="default", name="distillery", identity="a"),
            clock=self.arena.clock,
            wall=lambda: START_S,
            on_started=start,
            on_lost=self.lost.set,
        )

    def lead(self) -> None:
        clock = self.arena.clock
        self.arena.free_lease()
        self.elector.start()
        clock.wait_for_waiters(2)
        clock.advance(1)
        assert self.started.wait(PATIENCE_S)


def test_threads_lead_renew_and_free_the_lease() -> None:
    threaded = Threaded()
    threaded.lead()
    clock = threaded.arena.clock
    for _ in range(10):
        clock.wait_for_waiters(2, beyond=clock.now())
        clock.advance(2)
    clock.wait_for_waiters(2, beyond=clock.now())
    assert threaded.elector.is_leading()
    assert threaded.elector.stop(timeout_s=PATIENCE_S)
    assert threaded.arena.holder is None
    assert not threaded.lost.is_set()


def test_loss_is_told_in_time_though_a_renewal_never_returns() -> None:
    threaded = Threaded()
    threaded.lead()
    clock = threaded.arena.clock
    clock.wait_for_waiters(2, beyond=clock.now())
    hangs, may_end = threading.Event(), threading.Event()

    def hang(verb: Verb, resource: Resource, namespace: str, name: str) -> Exception:
        hangs.set()
        assert may_end.wait(PATIENCE_S)
        return unreachable(verb, resource, namespace, name)

    threaded.arena.server.fault = hang
    clock.advance(2)
    assert hangs.wait(PATIENCE_S)
    clock.advance(8)
    assert threaded.lost.wait(PATIENCE_S)
    may_end.set()
    assert threaded.elector.stop(timeout_s=PATIENCE_S)
    assert threaded.elector.phase is Phase.LOST


def test_bug_in_what_the_leader_starts_gives_the_lead_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise KeyError("workers")

    threaded = Threaded(on_started=fail)
    threaded.lead()
    assert threaded.lost.wait(PATIENCE_S)
    assert threaded.elector.stop(timeout_s=PATIENCE_S)
    assert "elector met a bug identity=a" in caplog.text


def test_stop_may_be_called_by_who_hears_of_the_loss() -> None:
    arena = Arena()
    arena.free_lease()
    ended: list[bool] = []
    done = threading.Event()

    def stop() -> None:
        ended.append(elector.stop(timeout_s=PATIENCE_S))
        done.set()

    elector = Elector(
        arena.timed,
        candidacy=Candidacy(namespace="default", name="distillery", identity="a"),
        clock=arena.clock,
        wall=lambda: START_S,
        on_started=lambda: None,
        on_lost=stop,
    )
    elector.start()
    arena.clock.wait_for_waiters(2)
    arena.clock.advance(1)
    arena.clock.wait_for_waiters(2, beyond=arena.clock.now())
    assert elector.is_leading()
    arena.edit({"spec": {"holderIdentity": "b"}})
    arena.clock.advance(2)
    assert done.wait(PATIENCE_S)
    assert ended == [True]
