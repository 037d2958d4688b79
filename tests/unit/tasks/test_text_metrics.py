"""Metrics of free text, each on values worked out by hand."""

import pytest

from ray_jobs.tasks.entities import entity_density, find_entities
from ray_jobs.tasks.text_metrics import count_words, novelty, repetition, rouge, rouge_l

ARTICLE = (
    "Ministers met Prince Charles of Wales in London. The EU says 70 per cent agree. "
    "Charles left in 2011 after 5 miles. Pensioners cheered London's mayor Ada Byron."
)


def test_entities_are_names_acronyms_and_numbers_with_their_unit() -> None:
    assert find_entities(ARTICLE, takes_openers=False) == {
        ("prince", "charles", "of", "wales"),
        ("london",),
        ("eu",),
        ("70", "per", "cent"),
        ("charles",),
        ("2011",),
        ("5", "miles"),
        ("ada", "byron"),
    }


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("Britain won.", {("britain",)}, id="opener_taken"),
        pytest.param("The dog ran. It sat. I'm here.", set(), id="common_openers_never"),
        pytest.param("a dog ate 3 bones", set(), id="one_figure_without_unit"),
        pytest.param("It cost $1,200.", {("$1,200",)}, id="money"),
        pytest.param("", set(), id="empty"),
    ],
)
def test_a_summary_may_begin_with_a_name(text: str, want: set[tuple[str, ...]]) -> None:
    assert find_entities(text, takes_openers=True) == want


@pytest.mark.parametrize(
    ("summary", "want"),
    [
        pytest.param("Charles met Ada Byron there.", 2 / 5, id="two_in_five_words"),
        pytest.param("London London London London", 0.0, id="a_run_is_no_entity_of_the_article"),
        pytest.param("London is big, London is old", 1 / 6, id="a_name_counts_once"),
        pytest.param("Zanzibar is far", 0.0, id="not_in_the_article"),
        pytest.param("70 per cent agree", 1 / 4, id="number"),
        pytest.param("", 0.0, id="empty"),
    ],
)
def test_entity_density_is_shared_entities_by_words(summary: str, want: float) -> None:
    assert entity_density(summary, ARTICLE) == pytest.approx(want)


def test_words_are_what_stands_between_white_space() -> None:
    assert count_words(" one, two\n three ") == 3


@pytest.mark.parametrize(
    ("summary", "want"),
    [("a b c", 0.0), ("a b x", 0.5), ("x y z", 1.0), ("a", 0.0), ("", 0.0)],
)
def test_novelty_is_the_share_of_new_word_pairs(summary: str, want: float) -> None:
    assert novelty(summary, "a b c d") == want


@pytest.mark.parametrize(
    ("text", "want"),
    [("a b c", 0.0), ("a a a a", 0.5), ("a b", 0.0), ("a b c a b c", 0.25)],
)
def test_repetition_is_the_share_of_trigrams_seen_before(text: str, want: float) -> None:
    assert repetition(text) == want


def test_rouge_is_one_for_equal_texts_and_zero_for_none() -> None:
    assert rouge("the cat sat", "The cat sat.") == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}
    assert rouge("", "the cat") == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    assert rouge_l("the cat", "") == 0.0


def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence() -> None:
    # LCS "a c" = 2 words of 3 and of 4: precision 2/3, recall 1/2.
    assert rouge_l("a x c", "a b c d") == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
