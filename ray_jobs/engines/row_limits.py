"""Ends each row of a running batch by its own limits, and counts its tokens as they come.

Used by ``transformers_engine`` as the stopping criterion of ``generate``. Imports torch.
"""

from collections.abc import Callable, Sequence

import torch
from transformers import StoppingCriteria

from ray_jobs.engines.base import Request

_WINDOW_MARGIN_TOKENS = 4
"""Beyond one token a byte of the stop string: a first token may decode to part of a character."""


class RowLimits(StoppingCriteria):  # type: ignore[misc]
    """Says which rows are done, and keeps in ``lengths`` how many tokens each answer has.

    Args:
        batch: The requests, one a row.
        limits: Most tokens of each row.
        width: Tokens before the first generated one, filling included.
        decode: Text of ids, for stop strings.
        stop_ids: Tokens that end an answer.
    """

    def __init__(
        self,
        batch: Sequence[Request],
        limits: Sequence[int],
        *,
        width: int,
        decode: Callable[[Sequence[int]], str],
        stop_ids: frozenset[int],
    ) -> None:
        self.lengths = [0] * len(batch)
        self._limits = limits
        self._stops = [request.sampling.stop for request in batch]
        self._width = width
        self._decode = decode
        self._stop_ids = stop_ids
        self._done = [False] * len(batch)
        self._sums: dict[str, int] = {"num_tokens": 0}

    def count_into(self, sums: dict[str, int]) -> None:
        """Adds every generated token to ``sums["num_tokens"]`` from now on."""
        self._sums = sums

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor | None, **kwargs: object
    ) -> torch.Tensor:
        """Done rows, ``[batch]`` bool; ``input_ids`` is ``[batch, width + generated]``."""
        newest = input_ids[:, -1].tolist()
        for row, token in enumerate(newest):
            if self._done[row]:
                continue
            self.lengths[row] += 1
            self._sums["num_tokens"] += 1
            self._done[row] = (
                token in self._stop_ids
                or self.lengths[row] >= self._limits[row]
                or (bool(self._stops[row]) and self._meets_stop(input_ids[row], self._stops[row]))
            )
        return torch.tensor(self._done, dtype=torch.bool, device=input_ids.device)

    def _meets_stop(self, ids: torch.Tensor, stops: Sequence[str]) -> bool:
        """Whether the newest token completed a stop string: every token has a byte at least."""
        window = max(len(stop.encode()) for stop in stops) + _WINDOW_MARGIN_TOKENS
        start = max(self._width, len(ids) - window)
        text = self._decode(ids[start:].tolist())
        return any(stop in text for stop in stops)
