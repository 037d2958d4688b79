"""Metrics of free text: words, novelty, repetition, ROUGE.

Words are what stands between white space; n-grams are over lower-case word characters. ROUGE is the
``rouge-score`` package with its stemmer: F-measures; its tokens are ASCII letters and digits only,
so other scripts score 0.
"""

import re
from functools import cache
from typing import Any

ROUGE_NAMES = ("rouge1", "rouge2", "rougeL")
_NOVELTY_WORDS = 2
_REPETITION_WORDS = 3
_TOKEN = re.compile(r"\w+")


def count_words(text: str) -> int:
    """How many words stand between white space."""
    return len(text.split())


def novelty(summary: str, article: str) -> float:
    """Share of the summary's distinct word pairs that don't stand in the article; 0 for none.

    Naive form: |bigrams(summary) - bigrams(article)| / |bigrams(summary)|.
    """
    pairs = set(_ngrams(summary, _NOVELTY_WORDS))
    return len(pairs - set(_ngrams(article, _NOVELTY_WORDS))) / len(pairs) if pairs else 0.0


def repetition(text: str) -> float:
    """Share of three-word sequences that stood before in the same text; 0 for under three words.

    Naive form: 1 - |distinct trigrams| / |trigrams|.
    """
    trigrams = _ngrams(text, _REPETITION_WORDS)
    return 1 - len(set(trigrams)) / len(trigrams) if trigrams else 0.0


def rouge(text: str, reference: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L F-measures by name, each 0 to 1; all 0 where either text is empty."""
    scores = _rouge_scorer(ROUGE_NAMES).score(reference, text)
    return {name: float(scores[name].fmeasure) for name in ROUGE_NAMES}


def rouge_l(text: str, reference: str) -> float:
    """The ROUGE-L F-measure, 0 to 1; 0 where either text is empty."""
    return float(_rouge_scorer(("rougeL",)).score(reference, text)["rougeL"].fmeasure)


@cache
def _rouge_scorer(names: tuple[str, ...]) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(names), use_stemmer=True)


def _ngrams(text: str, size: int) -> list[tuple[str, ...]]:
    tokens = _TOKEN.findall(text.lower())
    return [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
