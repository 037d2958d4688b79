"""Which rows leave, and that every one is accounted for."""

from collections import Counter
from collections.abc import Sequence

import pytest

from ray_jobs.prepare.duplicates import Kept, drop_duplicates
from ray_jobs.prepare.near_duplicates import find_near_duplicates
from ray_jobs.prepare.readers import RawRow
from ray_jobs.prepare.rows import Draft
from ray_jobs.prepare.sampling import sample_rows
from ray_jobs.records import Split
from tests.rows import make_draft


def drafts(split: Split, rows: Sequence[tuple[str, int | None]]) -> list[Draft]:
    return [
        make_draft({"q": q, "a": a}, number=number, split=split, user="q", gold="a")
        for number, (q, a) in enumerate(rows, start=1)
    ]


def kept_numbers(kept: Kept, split: Split) -> list[int]:
    return [draft.number for draft in kept.drafts[split]]


def drop(
    train: Sequence[tuple[str, int | None]],
    validation: Sequence[tuple[str, int | None]] = (),
    test: Sequence[tuple[str, int | None]] = (),
    *,
    has_one_gold: bool = True,
) -> Kept:
    by_split = {
        Split.TRAIN: drafts(Split.TRAIN, train),
        Split.VALIDATION: drafts(Split.VALIDATION, validation),
        Split.TEST: drafts(Split.TEST, test),
    }
    return drop_duplicates(by_split, has_one_gold=has_one_gold)


def reasons(kept: Kept) -> list[tuple[str, int, str]]:
    return [(row.split.value, row.number, row.reason.value) for row in kept.dropped]


def test_first_of_equal_rows_stays() -> None:
    kept = drop([("a?", 1), ("A ?", 2), (" a? ", 1)])

    assert kept_numbers(kept, Split.TRAIN) == [1, 2]
    assert reasons(kept) == [("train", 3, "duplicate")]


def test_equal_rows_with_different_gold_all_leave() -> None:
    kept = drop([("a?", 1), ("b?", 1), ("a?", 2), ("a?", None)])

    assert kept_numbers(kept, Split.TRAIN) == [2]
    assert reasons(kept) == [("train", number, "conflicting_gold") for number in (1, 3, 4)]


def test_second_reference_summary_is_no_conflict() -> None:
    kept = drop([("a?", 1), ("a?", 2)], has_one_gold=False)

    assert reasons(kept) == [("train", 2, "duplicate")]


def test_row_with_gold_stays_before_one_without() -> None:
    kept = drop([("a?", None), ("a?", 1)])

    assert kept_numbers(kept, Split.TRAIN) == [2]


def test_train_row_leaves_for_validation_and_test_and_validation_for_test() -> None:
    kept = drop(
        train=[("v?", 1), ("t?", 1), ("vt?", 1), ("own?", 1)],
        validation=[("v?", 1), ("vt?", 1)],
        test=[("t?", 2), ("vt?", 1)],
    )

    assert kept_numbers(kept, Split.TRAIN) == [4]
    assert kept_numbers(kept, Split.VALIDATION) == [1]
    assert kept_numbers(kept, Split.TEST) == [1, 2]
    assert reasons(kept) == [
        ("train", 1, "overlap_validation"),
        ("train", 2, "overlap_test"),
        ("train", 3, "overlap_test"),
        ("validation", 2, "overlap_test"),
    ]


def test_train_gold_takes_no_row_out_of_the_test() -> None:
    kept = drop(train=[("t?", 1)], test=[("t?", 2)])

    assert kept_numbers(kept, Split.TEST) == [1]


def test_near_duplicates_are_found_with_precedence_of_test() -> None:
    words = [f"w{number}" for number in range(60)]
    text, near, far = " ".join(words), " ".join([*words[:-1], "x"]), " ".join(reversed(words))
    by_split = {
        Split.TRAIN: drafts(Split.TRAIN, [(near, 1), (far, 1), (f"{far} z", 1)]),
        Split.VALIDATION: drafts(Split.VALIDATION, [("something else entirely", 1)]),
        Split.TEST: drafts(Split.TEST, [(text, 1)]),
    }

    found = find_near_duplicates(by_split)

    assert found == {Split.TEST: [], Split.VALIDATION: [], Split.TRAIN: [1, 3]}


def test_sample_is_the_same_for_the_same_seed_and_in_file_order() -> None:
    rows = [RawRow(number=number, values={}) for number in range(1, 101)]

    one, again, other = (
        sample_rows(iter(rows), max_rows=10, seed=seed)
        for seed in ("0/train", "0/train", "1/train")
    )

    numbers = [row.number for row in one.rows]
    assert one == again
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 10
    assert one.num_read == 100
    assert numbers != [row.number for row in other.rows]


def test_sample_draws_every_row_equally_often() -> None:
    rows = [RawRow(number=number, values={}) for number in range(10)]

    counts = Counter(
        row.number
        for seed in range(2000)
        for row in sample_rows(rows, max_rows=3, seed=str(seed)).rows
    )

    # 600 draws of each row expected; five standard deviations are 102.
    assert all(abs(counts[number] - 600) < 110 for number in range(10))


@pytest.mark.parametrize("max_rows", [None, 5, 100])
def test_sample_takes_all_rows_where_there_are_no_more(max_rows: int | None) -> None:
    rows = [RawRow(number=number, values={}) for number in range(5)]

    assert sample_rows(rows, max_rows=max_rows, seed="0").rows == rows
