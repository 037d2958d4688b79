"""``kill -9`` of everything at about half, then the same command: no token paid for twice."""

from pathlib import Path

import pytest

from distillery.spec.engine import Dtype, VllmEngineSpec
from ray_jobs.answers.ledger import read_ledger
from ray_jobs.records import Split
from tests.integration.generate.outcomes import (
    assert_whole,
    ledger_folder,
    read_summary,
    start_alone,
)
from tests.integration.generate.prepared import Prepared, make_rows
from tests.processes import kill_tree, wait_for

pytestmark = pytest.mark.heavy

NUM_ROWS = 4000
MAX_TOKENS = 80
BOUND = 1.02
"""Tokens in all / one pass. What a kill loses is in flight (64 x 80 tokens at most) or not yet
flushed (0.5 s of answers); a pass is over 50 x that up to about 2,500 tokens/s."""


def test_kill_of_everything_at_half_costs_at_most_two_percent(
    tmp_path: Path, teacher: Path
) -> None:
    prepared = Prepared(root=tmp_path, model=teacher, rows=make_rows(Split.TRAIN, NUM_ROWS))
    engine = VllmEngineSpec(
        dtype=Dtype.FLOAT32, kv_cache_gib=0.05, max_num_seqs=64, enforce_eager=True
    )
    config = prepared.config(max_tokens=MAX_TOKENS, engine=engine)
    ledger = ledger_folder(prepared, config)

    first = start_alone(prepared, config)
    half = NUM_ROWS * MAX_TOKENS // 2
    wait_for(first, lambda: read_ledger(ledger).tokens >= half)
    kill_tree(first.pid)
    first.wait()
    # At most a second of tokens is in no ledger line: the engine's speed times its interval.
    spent = read_ledger(ledger).tokens
    assert spent < 0.8 * NUM_ROWS * MAX_TOKENS

    second = start_alone(prepared, config)
    assert second.wait(timeout=400) == 0, (tmp_path / "log.txt").read_text()
    rows = assert_whole(prepared, config)
    one_pass = sum(row.num_tokens for row in rows)
    total = read_ledger(ledger).tokens
    assert total <= BOUND * one_pass
    summary = read_summary(config)
    assert summary["numReused"] > 0.3 * NUM_ROWS
    assert summary["ledger"]["tokens"] == total
    assert summary["tokensGenerated"] + summary["tokensReused"] == one_pass
