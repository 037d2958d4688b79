"""A teacher over many nodes: where its replicas land, and what the loss of some of them costs.

The cluster is simulated: real Ray nodes on one machine with GPUs that nobody has, and a double for
the engine, which passes the engines' contract tests.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from distillery.spec.engine import Dtype, VllmEngineSpec
from ray_jobs.answers.ledger import read_ledger
from ray_jobs.generate.fleet import POISON
from ray_jobs.records import Message, RowStatus, Split
from tests.fragile_engine import POISON as POISON_WORD
from tests.integration.fleet.simulated import GPUS_PER_NODE, SimulatedCluster, StageRun
from tests.integration.generate.outcomes import assert_whole, count_segments, ledger_folder
from tests.integration.generate.prepared import Prepared, make_rows
from tests.models import make_tiny_llama

pytestmark = [pytest.mark.heavy, pytest.mark.fleet]

NUM_REPLICAS = 4
NUM_STAGES = 2
IN_FLIGHT = 8
MAX_TOKENS = 16
STEP_S = 0.05
ENGINE = VllmEngineSpec(
    replicas=NUM_REPLICAS,
    tensor_parallel=GPUS_PER_NODE,
    pipeline_parallel=NUM_STAGES,
    max_num_seqs=IN_FLIGHT,
    dtype=Dtype.FLOAT32,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimulatedCluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        cluster = SimulatedCluster(num_nodes=NUM_REPLICAS * NUM_STAGES)
        yield cluster
        cluster.stop()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("teacher") / "model")


def one_pass(prepared: Prepared) -> int:
    """Tokens of every row once."""
    return len(prepared.rows) * MAX_TOKENS


def test_replicas_land_as_the_layout_says(
    cluster: SimulatedCluster, teacher: Path, tmp_path: Path
) -> None:
    prepared = Prepared(root=tmp_path, model=teacher, rows=make_rows(Split.TRAIN, 400))
    config = prepared.config(max_tokens=MAX_TOKENS, engine=ENGINE)
    run = StageRun(prepared=prepared, config=config, cluster=cluster, step_s=STEP_S)
    summary = run.finish()["summary"]
    places = run.read_places()
    assert len(places) == NUM_REPLICAS
    for place in places:
        first, second = place["stages"]
        assert first != second
        assert place["gpuNodes"] == GPUS_PER_NODE * [first] + GPUS_PER_NODE * [second]
        assert place["engineNode"] == first
    used = [node for place in places for node in place["stages"]]
    assert sorted(used) == sorted(node.node_id for node in cluster.nodes)
    rows = assert_whole(prepared, config)
    assert {row.num_tokens for row in rows} == {MAX_TOKENS}
    assert summary["tokensGenerated"] == one_pass(prepared)
    assert summary["numEngineDeaths"] == 0


def test_a_lost_node_a_stalled_replica_and_a_poison_row_cost_what_was_in_flight(
    cluster: SimulatedCluster, teacher: Path, tmp_path: Path
) -> None:
    rows = make_rows(Split.TRAIN, 1500)
    poison = replace(rows[700], messages=(Message(role="user", content=POISON_WORD),))
    rows[700] = poison
    prepared = Prepared(root=tmp_path, model=teacher, rows=rows)
    config = prepared.config(max_tokens=MAX_TOKENS, engine=ENGINE)
    run = StageRun(prepared=prepared, config=config, cluster=cluster, step_s=STEP_S, lease_s=5.0)

    run.wait_until(lambda: len(run.read_places()) >= NUM_REPLICAS, "all replicas are there")
    run.wait_until(lambda: count_segments(prepared) >= 8, "answers are durable")
    lost = run.read_places()[0]["stages"][1]
    cluster.kill_node(lost)
    cluster.add_node()
    run.wait_until(lambda: len(run.read_places()) > NUM_REPLICAS, "the replica is replaced")
    os.kill(run.read_places()[-1]["pid"], signal.SIGSTOP)

    summary = run.finish()["summary"]
    answered = {row.row_id: row for row in assert_whole(prepared, config)}
    assert answered[poison.row_id].status == RowStatus.ERROR
    assert answered[poison.row_id].reason == POISON
    others = [row for row_id, row in answered.items() if row_id != poison.row_id]
    assert {row.num_tokens for row in others} == {MAX_TOKENS}
    assert summary["numQuarantined"] == 1
    # The lost node's, the stalled one's, and twice or thrice the poison's.
    assert 4 <= summary["numEngineDeaths"] <= 6
    assert all(lost not in place["stages"] for place in run.read_places()[NUM_REPLICAS:])
    tokens = read_ledger(ledger_folder(prepared, config)).tokens
    # A death loses what was in flight and what one flush interval makes.
    a_death = IN_FLIGHT * MAX_TOKENS + int(IN_FLIGHT * 0.2 / STEP_S)
    assert tokens <= one_pass(prepared) + summary["numEngineDeaths"] * a_death
