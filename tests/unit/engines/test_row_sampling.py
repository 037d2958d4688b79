"""The drawing of tokens, against its naive form, and the ending of rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_jobs.engines.base import Request, Sampling
from ray_jobs.engines.row_limits import RowLimits
from ray_jobs.engines.row_sampling import RowSampler, draw_tokens

pytestmark = pytest.mark.heavy


def naive_token(
    logits: list[float], draw: float, *, temperature: float, top_p: float, top_k: int
) -> int:
    """The definition, one token at a time."""
    p = torch.softmax(torch.tensor(logits) / temperature, dim=0).tolist()
    ranked = sorted(range(len(p)), key=lambda token: -p[token])[: top_k if top_k > 0 else None]
    total = sum(p[token] for token in ranked)
    kept: list[int] = []
    mass = 0.0
    for token in ranked:
        if mass >= top_p and kept:
            break
        kept.append(token)
        mass += p[token] / total
    scale = sum(p[token] for token in kept)
    reached = 0.0
    for token in kept:
        reached += p[token] / scale
        if draw < reached:
            return token
    return kept[-1]


@settings(deadline=None)
@given(
    logits=st.lists(st.integers(-8, 8), min_size=2, max_size=12, unique=True),
    draw=st.integers(0, 999),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_p=st.sampled_from([1e-4, 0.1, 0.55, 0.9, 1.0]),
    top_k=st.sampled_from([-1, 1, 2, 5]),
)
def test_a_drawn_token_is_the_naive_one(
    logits: list[int], draw: int, temperature: float, top_p: float, top_k: int
) -> None:
    point = draw / 1000 + 0.00037  # off the round borders, where rounding decides
    got = draw_tokens(
        torch.tensor([logits], dtype=torch.float32),
        torch.tensor([[point]]),
        temperature=torch.tensor([[temperature]]),
        top_p=torch.tensor([[top_p]]),
        top_k=torch.tensor([[top_k if top_k > 0 else 2**31]]),
    )
    floats = [float(each) for each in logits]
    assert got.item() == naive_token(
        floats, point, temperature=temperature, top_p=top_p, top_k=top_k
    )


def test_draws_come_as_often_as_they_are_likely() -> None:
    likely = torch.tensor([0.6, 0.3, 0.1])
    draws = torch.linspace(0, 1, 10_001)[:-1, None]
    tokens = draw_tokens(
        likely.log().repeat(10_000, 1),
        draws,
        temperature=torch.ones(10_000, 1),
        top_p=torch.ones(10_000, 1),
        top_k=torch.full((10_000, 1), 3),
    )
    assert torch.bincount(tokens[:, 0]).tolist() == pytest.approx([6000, 3000, 1000], abs=2)


def test_greedy_rows_keep_their_scores_beside_sampled_ones() -> None:
    samplings = [
        Sampling(temperature=0.0, top_p=1.0, max_tokens=1),
        Sampling(temperature=1.0, top_p=1.0, max_tokens=1, top_k=1, seed=0),
    ]
    scores = torch.tensor([[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])
    result = RowSampler(samplings, torch.Generator())(torch.zeros(2, 1), scores)
    assert result.tolist() == [[1.0, 3.0, 2.0], [-torch.inf, -torch.inf, 0.0]]
    assert scores[1].tolist() == [1.0, 2.0, 3.0]


def test_rows_end_by_their_own_limit_stop_token_and_stop_string() -> None:
    stops: list[tuple[str, ...]] = [(), (), ("bc",), ()]
    batch = [
        Request(
            request_id=str(row),
            prompt_ids=[1],
            sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=9, stop=stop),
        )
        for row, stop in enumerate(stops)
    ]
    rows = RowLimits(
        batch,
        [1, 9, 9, 4],
        width=1,
        decode=lambda ids: "".join(chr(each) for each in ids),
        stop_ids=frozenset({0}),
    )
    sums = {"num_tokens": 5}
    rows.count_into(sums)
    ids = torch.tensor([[ord("b")] * 4]).T
    done = []
    for newest in ([*map(ord, "aaba")], [ord("x"), 0, ord("c"), ord("a")], [*map(ord, "xxxa")]):
        ids = torch.cat([ids, torch.tensor([newest]).T], dim=1)
        done.append(rows(ids, None).tolist())
    assert done == [
        [True, False, False, False],
        [True, True, True, False],
        [True, True, True, False],
    ]
    assert rows.lengths == [1, 2, 2, 3]
    assert sums["num_tokens"] == 5 + 8
