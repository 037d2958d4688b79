"""Random histories of replicas that stand for one lease: never two leaders, and in the end one.

Requests are slow, fail, lose their answers; replicas are paused anywhere, also in the middle of a
request; somebody deletes and edits the lease. Nobody's date is right.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.kube.api import Json
from controller.kube.faults import UnreachableError
from controller.kube.resources import LEASES, Resource
from controller.runtime.elector import Elector, Phase
from controller.runtime.lease import Candidacy
from tests.doubles.api_server import ApiServer, Verb
from tests.doubles.clock import VirtualClock
from tests.doubles.timed_api import TimedServer

SECONDS = st.sampled_from([0.0, 0.1, 1.0, 2.0, 4.9, 5.0, 9.9, 10.0, 14.9, 15.0, 16.0, 40.0])
REPLICAS = st.integers(min_value=0, max_value=2)


@dataclass
class Trouble:
    """What befalls the next request: it is sent ``before_s`` late, its answer comes ``after_s``
    late or never. Others go on as soon as it is sent, as it is carried out, and as the answer comes."""

    before_s: float = 0.0
    after_s: float = 0.0
    fails: bool = False
    is_answer_lost: bool = False
    others: list[int] = field(default_factory=list)


TROUBLES = st.builds(
    Trouble, SECONDS, SECONDS, st.booleans(), st.booleans(), st.lists(REPLICAS, max_size=5)
)


class ElectorMachine(RuleBasedStateMachine):
    """Three replicas; one that ends is followed by a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(start=0)
        self.server = ApiServer()
        self.server.fault = self.before
        self.server.lost_answer = self.after
        self.troubles: list[Trouble] = []
        self.current = Trouble()
        self.is_busy = [False] * 3
        self.num_made = 0
        self.replicas = [self.make_replica() for _ in range(3)]

    def make_replica(self) -> Elector:
        """A replica whose wall clock stands still at some wrong date."""
        self.num_made += 1
        wall_s = float(self.num_made % 3) * 1e9
        return Elector(
            TimedServer(self.server),
            candidacy=Candidacy(
                namespace="default", name="distillery", identity=f"r{self.num_made}"
            ),
            clock=self.clock,
            wall=lambda: wall_s,
            on_started=lambda: None,
            on_lost=lambda: None,
        )

    def before(self, verb: Verb, resource: Resource, *where: str) -> Exception | None:
        """Before a request is carried out."""
        self.current = trouble = self.troubles.pop() if self.troubles else Trouble()
        self.step_all(trouble.others[:1])
        self.clock.advance(trouble.before_s)
        self.check()
        self.current = trouble
        return _lost() if trouble.fails else None

    def after(self, verb: Verb, resource: Resource, *where: str) -> Exception | None:
        """After it was carried out."""
        trouble = self.current
        self.step_all(trouble.others[1:3])
        self.clock.advance(trouble.after_s)
        self.check()
        self.step_all(trouble.others[3:])
        return _lost() if trouble.is_answer_lost else None

    def step(self, number: int) -> float:
        """A step of a replica that isn't in the middle of one."""
        if self.is_busy[number]:
            return 0.0
        self.is_busy[number] = True
        replica = self.replicas[number]
        delay_s = replica.step()
        if replica.phase is Phase.LOST:
            self.replicas[number] = self.make_replica()
        self.is_busy[number] = False
        self.check()
        return delay_s

    def step_all(self, numbers: list[int]) -> None:
        """A step of each of these."""
        for number in numbers:
            self.step(number)

    def by_hand(self, write: Callable[[Json], object]) -> None:
        """Somebody else writes the lease, if there is one, and meets no trouble."""
        self.server.fault = self.server.lost_answer = None
        for lease in self.server.objects(LEASES):
            write(lease)
        self.server.fault, self.server.lost_answer = self.before, self.after

    def edit(self, **spec: object) -> None:
        """Somebody edits the lease's spec."""
        self.by_hand(
            lambda lease: self.server.merge(
                LEASES, namespace="default", name="distillery", patch={"spec": spec}
            )
        )

    @rule(number=REPLICAS)
    def step_one(self, number: int) -> None:
        self.step(number)

    @rule(number=REPLICAS, troubles=st.lists(TROUBLES, min_size=1, max_size=3))
    def step_in_trouble(self, number: int, troubles: list[Trouble]) -> None:
        self.troubles = list(troubles)
        self.step(number)
        self.troubles = []

    @rule(seconds=SECONDS)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(rounds=st.integers(min_value=1, max_value=12))
    def live(self, rounds: int) -> None:
        """All goes well for a while."""
        for _ in range(rounds):
            self.step_all([0, 1, 2])
            self.clock.advance(2)

    @rule(number=REPLICAS, rounds=st.integers(min_value=1, max_value=16))
    def live_without(self, number: int, rounds: int) -> None:
        """All goes well for a while, but that one replica is paused."""
        for _ in range(rounds):
            self.step_all([each for each in range(3) if each != number])
            self.clock.advance(1)

    @rule(number=REPLICAS)
    def stop(self, number: int) -> None:
        self.replicas[number].stop()
        self.replicas[number] = self.make_replica()

    @rule(number=REPLICAS)
    def kill(self, number: int) -> None:
        self.replicas[number] = self.make_replica()

    @rule()
    def delete(self) -> None:
        self.by_hand(
            lambda lease: self.server.delete(
                LEASES, namespace="default", name="distillery", uid=lease["metadata"]["uid"]
            )
        )

    @rule(holder=st.sampled_from([None, "somebody"]))
    def edit_holder(self, holder: str | None) -> None:
        self.edit(holderIdentity=holder, leaseDurationSeconds=15)

    @precondition(lambda self: any(replica.is_leading() for replica in self.replicas))
    @rule()
    def shorten(self) -> None:
        """To a duration by which nobody may be misled while the lease has a holder."""
        self.edit(holderIdentity="somebody", leaseDurationSeconds=1)

    @invariant()
    def check(self) -> None:
        leaders = [replica for replica in self.replicas if replica.is_leading()]
        assert len(leaders) <= 1, "two replicas lead"

    def teardown(self) -> None:
        """Left in peace, one of them leads, and stays."""
        self.live(20)
        leaders = {replica for replica in self.replicas if replica.is_leading()}
        assert len(leaders) == 1
        self.live(10)
        assert {replica for replica in self.replicas if replica.is_leading()} == leaders


def _lost() -> UnreachableError:
    return UnreachableError("api server: no answer, got a timeout; check it", reason="Timeout")


TestElector = ElectorMachine.TestCase
TestElector.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
