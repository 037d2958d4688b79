"""Places in the line, against the plain count over everybody who waits."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from controller.operator.waiting_line import Standing, WaitingLine

FULL = 3
standings = st.builds(
    Standing,
    key=st.text("xyz", min_size=1, max_size=3),
    namespace=st.sampled_from("abc"),
    created=st.sampled_from(("2026-01-01", "2026-01-02", "2026-01-03")),
    priority=st.integers(-1, 1),
)
lines = st.lists(standings, max_size=12, unique_by=lambda each: each.key)
actives = st.dictionaries(st.sampled_from("abc"), st.integers(0, FULL), max_size=3)


def plain_place(mine: Standing, waiting: Sequence[Standing], active: Mapping[str, int]) -> int:
    """The place as its definition says it."""

    def level(each: Standing) -> int:
        before = [one for one in waiting if one.namespace == each.namespace]
        return active.get(each.namespace, 0) + sum(one.rank < each.rank for one in before)

    def turn(each: Standing) -> tuple[int, int, str, str]:
        return -each.priority, level(each), each.created, each.key

    return 1 + sum(
        turn(each) < turn(mine) and (each.namespace == mine.namespace or level(each) < FULL)
        for each in waiting
    )


@given(lines, actives)
def test_a_place_is_the_number_of_those_who_go_first(
    waiting: list[Standing], active: dict[str, int]
) -> None:
    line = WaitingLine()
    for each in waiting:
        line.join(each, now_s=0)
    for each in waiting:
        want_place = plain_place(each, waiting, active)
        assert line.place(each, active=active, full=FULL) == want_place


@given(lines, st.data())
def test_who_leaves_stands_in_nobodys_way(waiting: list[Standing], data: st.DataObject) -> None:
    line = WaitingLine()
    for each in waiting:
        line.join(each, now_s=0)
    gone = data.draw(st.sets(st.sampled_from(waiting or [None])))  # type: ignore[list-item]
    left = [each for each in waiting if each not in gone]
    for each in gone:
        if each is not None:
            line.leave(each.key)
    assert len(line) == len(left)
    for each in left:
        assert line.place(each, active={}, full=FULL) == plain_place(each, left, {})


def make_standing(name: str, *, priority: int = 0) -> Standing:
    return Standing(key=f"a/{name}", namespace="a", created="2026-01-01", priority=priority)


def test_who_asks_again_with_another_priority_stands_once() -> None:
    line = WaitingLine()
    line.join(make_standing("x"), now_s=0)
    line.join(make_standing("y"), now_s=0)
    urgent = make_standing("y", priority=1)
    line.join(urgent, now_s=1)
    assert len(line) == 2
    assert line.place(urgent, active={}, full=FULL) == 1
    assert line.place(make_standing("x"), active={}, full=FULL) == 2


def test_who_has_not_asked_since_is_dropped() -> None:
    line = WaitingLine()
    line.join(make_standing("x"), now_s=0)
    line.join(make_standing("y"), now_s=1)
    line.join(make_standing("x"), now_s=5)
    line.drop_silent(before_s=3)
    assert len(line) == 1
    assert line.place(make_standing("x"), active={}, full=FULL) == 1


def test_namespaces_take_turns() -> None:
    line = WaitingLine()
    many = [make_standing(f"x{number}") for number in range(4)]
    few = Standing(key="b/y", namespace="b", created="2026-01-09")
    for each in (*many, few):
        line.join(each, now_s=0)
    places = [line.place(each, active={}, full=9) for each in (*many, few)]
    assert places == [1, 3, 4, 5, 2]
    busy = [line.place(each, active={"b": 2}, full=9) for each in (*many, few)]
    assert busy == [1, 2, 3, 5, 4]
