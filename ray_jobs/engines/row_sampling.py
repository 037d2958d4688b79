"""Draws the next token of each row of a batch with that row's own settings and random numbers.

Used by ``transformers_engine`` as the last logits processor of a greedy ``generate``: a row's
answer so depends on its own seed and not on its neighbours in the batch. Imports torch.
"""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from ray_jobs.engines.base import Sampling


class RowSampler(LogitsProcessor):  # type: ignore[misc]
    """Leaves one finite score in each sampled row, at the drawn token; greedy rows as they are.

    Args:
        samplings: One a row.
        shared: Draws for the rows without a seed of their own.
    """

    def __init__(self, samplings: Sequence[Sampling], shared: torch.Generator) -> None:
        self._rows = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
        chosen = [samplings[row] for row in self._rows]
        self._temperature = torch.tensor([[each.temperature] for each in chosen])
        self._top_p = torch.tensor([[each.top_p] for each in chosen])
        self._top_k = torch.tensor([[each.top_k if each.top_k > 0 else 2**31] for each in chosen])
        self._generators = [
            shared if each.seed is None else torch.Generator().manual_seed(each.seed)
            for each in chosen
        ]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores ``[batch, vocab]`` in, the same shape out."""
        if not self._rows:
            return scores
        draws = torch.cat([torch.rand(1, 1, generator=each) for each in self._generators])
        tokens = draw_tokens(
            scores[self._rows].float(),
            draws.to(scores.device),
            temperature=self._temperature.to(scores.device),
            top_p=self._top_p.to(scores.device),
            top_k=self._top_k.to(scores.device),
        )
        drawn = torch.full_like(scores[self._rows], -torch.inf)
        drawn.scatter_(1, tokens, 0.0)
        result = scores.clone()
        result[self._rows] = drawn
        return result


def draw_tokens(
    logits: torch.Tensor,
    draws: torch.Tensor,
    *,
    temperature: torch.Tensor,
    top_p: torch.Tensor,
    top_k: torch.Tensor,
) -> torch.Tensor:
    """Token ids ``[rows, 1]``: the inverse of the cumulative distribution at ``draws`` in [0, 1).

    Args:
        logits: ``[rows, vocab]`` float.
        draws: ``[rows, 1]``, as ``temperature``, ``top_p`` and ``top_k``.

    Naive form: p = softmax(logits / temperature) over the ``top_k`` likeliest tokens; keep the
    likeliest ones while the sum before them is below ``top_p``; scale to 1; draw.
    """
    by_rank, order = torch.sort(logits / temperature, descending=True, stable=True)
    rank = torch.arange(by_rank.shape[1], device=by_rank.device)
    p = torch.softmax(by_rank.masked_fill(rank >= top_k, -torch.inf), dim=1)
    kept = (torch.cumsum(p, dim=1) - p < top_p) & (p > 0)
    cumulative = torch.cumsum(p * kept, dim=1)
    place = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    last_kept = kept.sum(dim=1, keepdim=True) - 1
    return order.gather(1, torch.minimum(place, last_kept))
