"""What is asked, and in which order."""

from collections import Counter

from distillery.tasks import PromptVariant
from ray_jobs.generate.work import NUM_SMOKE_ROWS, first_asks
from ray_jobs.records import Split
from tests.generate_doubles import make_asks, make_prompt_row
from tests.rows import make_any_task

VARIANTS = [PromptVariant.VANILLA, PromptVariant.CHAIN_OF_THOUGHT]


def test_every_row_is_asked_with_every_prompt_and_sample_once() -> None:
    rows = [make_prompt_row(f"r{number}") for number in range(50)]
    asks = first_asks(rows, VARIANTS, 3, make_any_task())
    names = Counter((ask.row.row_id, ask.variant, ask.sample) for ask in asks)
    assert len(names) == 50 * 2 * 3
    assert set(names.values()) == {1}


def test_smoke_rows_of_every_split_and_prompt_come_first() -> None:
    rows = [
        make_prompt_row(f"{split}{number}", split=split)
        for split in (Split.TRAIN, Split.VALIDATION)
        for number in range(40)
    ]
    asks = first_asks(rows, VARIANTS, 1, make_any_task())
    smoke = asks[: 4 * NUM_SMOKE_ROWS]
    counts = Counter((ask.row.split, ask.variant) for ask in smoke)
    assert set(counts.values()) == {NUM_SMOKE_ROWS}
    assert len(counts) == 4


def test_order_is_no_order_of_the_file_but_the_same_every_time() -> None:
    rows = [make_prompt_row(f"r{number:03d}") for number in range(100)]
    order = [ask.row.row_id for ask in make_asks(rows)]
    assert order != sorted(order)
    assert order == [ask.row.row_id for ask in make_asks(list(reversed(rows)))]


def test_places_count_the_order_of_asking() -> None:
    asks = make_asks([make_prompt_row(f"r{number}") for number in range(40)], num_samples=2)
    assert [ask.place for ask in asks] == list(range(80))


def test_dialogue_goes_on_until_its_last_turn() -> None:
    (ask,) = make_asks([make_prompt_row("d", turns=3)], turns=3)
    second = ask.after("one")
    assert second is not None
    third = second.after("two")
    assert third is not None
    assert (third.turn, third.replies) == (2, ("one", "two"))
    assert third.after("three") is None
