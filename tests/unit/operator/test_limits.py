"""Who may start, and what the others are told."""

from controller.operator.limits import PATIENCE_S, Asking, LaunchLimiter, LaunchLimits
from controller.runtime.buckets import TokenBucket
from tests.doubles.clock import VirtualClock


def make_limiter(clock: VirtualClock, **limits: float) -> LaunchLimiter:
    found = LaunchLimits(**{"launches_per_second": 100, **limits})  # type: ignore[arg-type]
    bucket = TokenBucket(
        rate_per_s=found.launches_per_second,
        burst=int(found.launches_per_second),
        clock=clock.now,
    )
    return LaunchLimiter(found, bucket=bucket)


def ask(name: str, *, namespace: str = "a", num_steps: int = 1, **more: object) -> Asking:
    values = {"created": "2026-01-01", "priority": 0, **more}
    return Asking(key=f"{namespace}/{name}", namespace=namespace, num_steps=num_steps, **values)  # type: ignore[arg-type]


def test_what_is_asked_for_is_granted_while_there_is_room() -> None:
    limiter = make_limiter(VirtualClock())
    grant = limiter.ask(ask("x", num_steps=3), active={"a": 5}, now_s=0)
    assert (grant.num_starts, grant.queue) == (3, "")


def test_launches_in_a_second_are_limited() -> None:
    clock = VirtualClock()
    limiter = make_limiter(clock, launches_per_second=2)
    assert limiter.ask(ask("x", num_steps=5), active={}, now_s=0).num_starts == 2
    told = limiter.ask(ask("y"), active={}, now_s=0)
    assert told.num_starts == 0
    assert told.queue == "waits to start, place 1 in the queue: at most 2 launches/s"
    clock.advance(0.5)
    assert limiter.ask(ask("y"), active={}, now_s=0.5).num_starts == 1


def test_a_full_cluster_and_a_full_namespace_are_named() -> None:
    limiter = make_limiter(VirtualClock(), active_steps=3, active_steps_per_namespace=2)
    full = limiter.ask(ask("x"), active={"a": 1, "b": 2}, now_s=0)
    assert full.queue == "waits to start, place 1 in the queue: 3 steps are active, the limit"
    own = limiter.ask(ask("y"), active={"a": 2}, now_s=0)
    assert own.queue == (
        "waits to start, place 2 in the queue: 2 steps of this namespace are active, the limit"
    )


def test_the_older_job_and_the_higher_priority_go_first() -> None:
    limiter = make_limiter(VirtualClock(), active_steps=1)
    limiter.ask(ask("old", created="2026-01-01"), active={"a": 1}, now_s=0)
    limiter.ask(ask("new", created="2026-01-02"), active={"a": 1}, now_s=0)
    assert limiter.ask(ask("new", created="2026-01-02"), active={}, now_s=1).num_starts == 0
    urgent = ask("urgent", created="2026-01-03", priority=5)
    assert limiter.ask(urgent, active={}, now_s=1).num_starts == 1
    assert limiter.ask(ask("old", created="2026-01-01"), active={}, now_s=1).num_starts == 1


def test_the_namespace_with_less_at_work_goes_first() -> None:
    limiter = make_limiter(VirtualClock(), active_steps=4)
    busy = {"a": 3}
    limiter.ask(ask("one", namespace="b", created="2026-01-09"), active={"a": 4}, now_s=0)
    told = limiter.ask(ask("two", namespace="a"), active=busy, now_s=1)
    assert told.queue == "waits to start, place 2 in the queue: older jobs go first"


def test_a_job_that_asks_no_more_stands_in_nobodys_way() -> None:
    limiter = make_limiter(VirtualClock(), active_steps=1)
    limiter.ask(ask("gone"), active={"a": 1}, now_s=0)
    later = ask("later", created="2026-01-05")
    assert limiter.ask(later, active={}, now_s=PATIENCE_S).num_starts == 0
    assert limiter.ask(later, active={}, now_s=PATIENCE_S + 1).num_starts == 1


def test_a_full_namespace_holds_up_no_other() -> None:
    limiter = make_limiter(VirtualClock(), active_steps_per_namespace=1)
    limiter.ask(ask("first", namespace="a"), active={"a": 1}, now_s=0)
    other = ask("other", namespace="b", created="2026-02-02")
    assert limiter.ask(other, active={"a": 1}, now_s=0).num_starts == 1


def test_the_further_back_a_job_stands_the_later_it_asks_again() -> None:
    limiter = make_limiter(VirtualClock(), active_steps=1)
    waits = [
        limiter.ask(ask(f"x{number:03}"), active={"a": 1}, now_s=0).again_s for number in range(100)
    ]
    assert waits[:4] == [1, 1, 1.5, 2]
    assert waits[69:79] == [30, 29, 28, 27, 26, 25, 24, 23, 22, 21]
    assert all(20 < wait <= 30 for wait in waits[59:])


def test_who_waits_for_the_pace_asks_again_when_its_turn_comes() -> None:
    limiter = make_limiter(VirtualClock(), launches_per_second=2)
    for number in range(10):
        told = limiter.ask(ask(f"x{number}"), active={}, now_s=0)
    assert told.queue == "waits to start, place 8 in the queue: at most 2 launches/s"
    assert told.again_s == 4
