"""How many tokens an answer may have, the same for base and all arms."""

import math
from collections.abc import Sequence

from distillery.errors import InvariantError

# METHOD, Metrics per task: 1.5 x the 99th percentile of target tokens.
HEADROOM = 1.5
PERCENTILE = 0.99


def answer_budget(target_tokens: Sequence[int]) -> int:
    """The longest answer in tokens, from the lengths of all targets trained on.

    The percentile is the nearest rank: the smallest length that 99% of the targets don't pass.
    """
    if not target_tokens:
        raise InvariantError("evaluation.maxTokens: no targets to derive it from")
    ordered = sorted(target_tokens)
    rank = math.ceil(PERCENTILE * len(ordered))
    return math.ceil(HEADROOM * ordered[rank - 1])
