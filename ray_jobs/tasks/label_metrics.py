"""Macro-F1 over labels.

Naive form, for each label c that stands in gold or among the readable answers:
F1_c = 2 TP_c / (2 TP_c + FP_c + FN_c); macro-F1 is their plain mean. An answer that can't be parsed
is a miss of its gold label (FN) and a false alarm of none. An answer that is accepted besides gold
(a second letter with the same text) counts as the gold label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from distillery.errors import InvariantError
from ray_jobs.records import GoldRow, PredictionRow, RowStatus


def macro_f1(predictions: Sequence[PredictionRow], gold: Mapping[str, GoldRow]) -> dict[str, float]:
    """``macro_f1`` over all rows and ``macro_f1_parsable`` over parsable ones (absent where no row
    is). Raises ``InvariantError`` for a row without gold."""
    pairs = [_pair(row, gold) for row in predictions]
    readable = [(wanted, answer) for wanted, answer in pairs if answer is not None]
    scores = {"macro_f1": _macro_f1(pairs)}
    if readable:
        scores["macro_f1_parsable"] = _macro_f1(readable)
    return scores


def _pair(row: PredictionRow, gold: Mapping[str, GoldRow]) -> tuple[str, str | None]:
    truth = gold.get(row.row_id)
    if truth is None:
        raise InvariantError(f"{row.row_id}: a prediction without gold")
    if row.status is not RowStatus.OK:
        return truth.gold, None
    return truth.gold, truth.gold if row.answer in truth.accepted else row.answer


def _macro_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    hits = Counter(wanted for wanted, answer in pairs if wanted == answer)
    in_gold = Counter(wanted for wanted, _ in pairs)
    answered = Counter(answer for _, answer in pairs if answer is not None)
    labels = in_gold.keys() | answered.keys()
    return sum(
        2 * hits[label] / (in_gold[label] + answered[label]) for label in sorted(labels)
    ) / len(labels)
