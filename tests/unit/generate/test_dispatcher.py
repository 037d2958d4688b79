"""The dispatcher: leases, deaths, quarantine."""

from collections.abc import Sequence

from ray_jobs.generate.dispatcher import COHORT_SIZE, Dispatcher
from ray_jobs.generate.work import WorkItem


def make_dispatcher(count: int) -> Dispatcher:
    dispatcher = Dispatcher(lease_s=60)
    dispatcher.add(WorkItem(key=f"k{number}", prompt_ids=[1]) for number in range(count))
    return dispatcher


def lease(
    dispatcher: Dispatcher, engine: str, limit: int = 64, *, tokens: int = 0, now: float = 0
) -> list[str]:
    got = dispatcher.lease(engine, limit=limit, tokens=tokens, now=now)
    return [item.key for item in got.items]


def acknowledge(dispatcher: Dispatcher, engine: str, keys: Sequence[str]) -> None:
    dispatcher.acknowledge(engine, keys, now=0)


def test_every_item_is_leased_once() -> None:
    dispatcher = make_dispatcher(5)
    assert lease(dispatcher, "a", 3) == ["k0", "k1", "k2"]
    assert lease(dispatcher, "b", 3) == ["k3", "k4"]
    assert lease(dispatcher, "a", 3) == []


def test_it_is_over_when_closed_and_all_is_acknowledged() -> None:
    dispatcher = make_dispatcher(1)
    keys = lease(dispatcher, "a")
    dispatcher.close()
    assert not dispatcher.lease("b", limit=1, tokens=0, now=0).is_over
    acknowledge(dispatcher, "a", keys)
    assert dispatcher.lease("b", limit=1, tokens=0, now=0).is_over


def test_it_is_not_over_while_more_may_come() -> None:
    assert not make_dispatcher(0).lease("a", limit=1, tokens=0, now=0).is_over


def test_stop_ends_leases_at_once() -> None:
    dispatcher = make_dispatcher(5)
    dispatcher.stop()
    got = dispatcher.lease("a", limit=5, tokens=0, now=0)
    assert (got.items, got.is_over, got.is_stopped) == ((), True, True)


def test_rows_of_a_dead_engine_are_leased_again_after_the_fresh_ones() -> None:
    dispatcher = make_dispatcher(4)
    lost = lease(dispatcher, "a", 2)
    assert dispatcher.lose("a") == []
    fresh = lease(dispatcher, "b")
    assert fresh == ["k2", "k3"]
    assert lease(dispatcher, "b") == []
    acknowledge(dispatcher, "b", fresh)
    assert lease(dispatcher, "b") == lost


def test_suspects_run_in_cohorts_apart_from_other_rows() -> None:
    dispatcher = make_dispatcher(COHORT_SIZE + 5)
    lease(dispatcher, "a")
    dispatcher.lose("a")
    cohort = lease(dispatcher, "b")
    assert len(cohort) == COHORT_SIZE
    dispatcher.add([WorkItem(key="new", prompt_ids=[1])])
    assert lease(dispatcher, "b") == []
    assert lease(dispatcher, "c") == ["new"]
    acknowledge(dispatcher, "b", cohort)
    assert len(lease(dispatcher, "b")) == 5


def run_until_over(dispatcher: Dispatcher, poison: set[str]) -> tuple[set[str], list[str], int]:
    """Engines that die whenever they hold a poison row. Returns answered, quarantined, deaths."""
    answered: set[str] = set()
    quarantined: list[str] = []
    deaths = 0
    dispatcher.close()
    while True:
        engine = f"e{deaths}"
        got = dispatcher.lease(engine, limit=64, tokens=0, now=0)
        if got.is_over:
            return answered, quarantined, deaths
        keys = {item.key for item in got.items}
        if keys & poison:
            deaths += 1
            quarantined += dispatcher.lose(engine)
        else:
            acknowledge(dispatcher, engine, sorted(keys))
            answered |= keys


def test_poison_row_is_quarantined_and_no_other_row_with_it() -> None:
    answered, quarantined, deaths = run_until_over(make_dispatcher(200), {"k70"})
    assert quarantined == ["k70"]
    assert answered == {f"k{number}" for number in range(200)} - {"k70"}
    assert deaths == 3


def test_a_poison_row_that_was_alone_dies_twice() -> None:
    assert run_until_over(make_dispatcher(1), {"k0"}) == (set(), ["k0"], 2)


def test_several_poison_rows_are_told_from_their_neighbours() -> None:
    poison = {"k3", "k5", "k120", "k121"}
    answered, quarantined, _ = run_until_over(make_dispatcher(200), poison)
    assert set(quarantined) == poison
    assert len(quarantined) == 4
    assert len(answered) == 196


def test_row_is_not_quarantined_for_a_death_it_shared() -> None:
    dispatcher = make_dispatcher(2)
    for engine in ("a", "b"):
        lease(dispatcher, engine)
        assert dispatcher.lose(engine) == []
    assert len(lease(dispatcher, "c")) == 1


def test_rows_of_a_dead_cohort_run_alone_before_the_next_cohort() -> None:
    dispatcher = make_dispatcher(40)
    lease(dispatcher, "a")
    dispatcher.lose("a")
    cohort = lease(dispatcher, "b")
    dispatcher.lose("b")
    assert lease(dispatcher, "c") == cohort[:1]


def test_lease_runs_out_when_no_token_comes() -> None:
    dispatcher = make_dispatcher(1)
    lease(dispatcher, "a", tokens=5, now=0)
    lease(dispatcher, "a", tokens=5, now=59)
    assert dispatcher.find_stalled(now=60) == []
    assert dispatcher.find_stalled(now=61) == ["a"]
    lease(dispatcher, "a", tokens=6, now=61)
    assert dispatcher.find_stalled(now=61) == []


def test_idle_engine_never_stalls() -> None:
    dispatcher = make_dispatcher(0)
    lease(dispatcher, "a", now=0)
    assert dispatcher.find_stalled(now=1000) == []


def test_answer_that_comes_after_its_lease_was_lost_still_counts() -> None:
    dispatcher = make_dispatcher(2)
    keys = lease(dispatcher, "a")
    dispatcher.lose("a")
    acknowledge(dispatcher, "a", keys[:1])
    assert lease(dispatcher, "b") == keys[1:]
    acknowledge(dispatcher, "a", keys[1:])
    assert dispatcher.num_open == 0


def test_a_call_that_comes_after_its_engines_death_takes_nothing_away() -> None:
    dispatcher = make_dispatcher(3)
    lease(dispatcher, "a", 1)
    dispatcher.lose("a")
    assert lease(dispatcher, "a") == []
    assert dispatcher.num_open == 3
    assert lease(dispatcher, "b") == ["k1", "k2"]
