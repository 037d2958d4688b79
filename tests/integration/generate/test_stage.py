"""Stage generate with the real vLLM under a real Ray: what is asked, reused, stopped, mended."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from distillery.errors import ExternalError, InvariantError, ResourceError, SpecError
from distillery.spec.engine import Dtype, TransformersEngineSpec, VllmEngineSpec
from distillery.tasks import TaskName
from ray_jobs.answers.ledger import read_ledger
from ray_jobs.generate.desk import EARLIER_TURN
from ray_jobs.generate.dispatcher_actor import DispatcherActor
from ray_jobs.generate.engine_actor import RayPort
from ray_jobs.generate.fleet import POISON
from ray_jobs.records import AnswerRow, Message, RejectedRow, RowStatus, Split
from ray_jobs.tables import read_rows
from tests.fragile_engine import make_fragile_engine
from tests.integration.generate.outcomes import (
    FAST,
    assert_whole,
    ledger_folder,
    read_answers,
    run_here,
)
from tests.integration.generate.prepared import Prepared, make_rows

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("ray_session")]

VLLM = VllmEngineSpec(dtype=Dtype.FLOAT32, kv_cache_gib=0.05, max_num_seqs=64, enforce_eager=True)


def make_prepared(root: Path, teacher: Path, **options: object) -> Prepared:
    rows = [
        *make_rows(Split.TRAIN, 40),
        *make_rows(Split.VALIDATION, 10),
        *make_rows(Split.TEST, 10),
    ]
    return Prepared(root=root, model=teacher, **({"rows": rows} | options))  # type: ignore[arg-type]


def texts(rows: list[AnswerRow]) -> dict[tuple[str, int, int], str]:
    return {(row.row_id, row.sample, row.turn): row.text for row in rows}


def test_rows_are_answered_once_and_only_those_cut_by_length_again(
    tmp_path: Path, teacher: Path
) -> None:
    prepared = make_prepared(tmp_path, teacher)
    short = prepared.config(max_tokens=12, engine=VLLM)
    first = run_here(prepared, short)
    rows = assert_whole(prepared, short)
    assert {row.status for row in rows} <= {RowStatus.OK, RowStatus.TRUNCATED}
    assert first.summary["numGenerated"] == 60
    tokens = sum(row.num_tokens for row in rows)
    assert first.summary["tokensGenerated"] == tokens
    assert read_ledger(ledger_folder(prepared, short)).tokens == tokens
    assert {artefact.path for artefact in first.artefacts} == {
        "answers/train-Vanilla.parquet",
        "answers/validation-Vanilla.parquet",
        "reference/test-Vanilla.parquet",
    }

    # A second job with the same teacher and sampling generates nothing.
    other = prepared.config(job="other", max_tokens=12, engine=VLLM)
    second = run_here(prepared, other)
    assert (second.summary["numGenerated"], second.summary["numReused"]) == (0, 60)
    assert second.summary["engine"] == {}
    assert texts(assert_whole(prepared, other)) == texts(rows)

    # A higher limit: just the rows cut by length.
    cut = {row.row_id for row in rows if row.status != RowStatus.OK}
    long = prepared.config(max_tokens=24, engine=VLLM)
    longer = run_here(prepared, long)
    assert {row.row_id for row in assert_whole(prepared, long) if not row.reused} == cut
    assert longer.summary["numGenerated"] == len(cut) > 0

    # A lower one: nothing, and what is longer than it counts as cut.
    lowered = prepared.config(max_tokens=6, engine=VLLM)
    assert run_here(prepared, lowered).summary["numGenerated"] == 0
    assert {row.status for row in read_answers(prepared, lowered)} <= {
        RowStatus.OK,
        RowStatus.TRUNCATED,
    }


def test_samples_are_drawn_apart_and_the_same_again(tmp_path: Path, teacher: Path) -> None:
    drawn = []
    for name in ("a", "b"):
        prepared = make_prepared(tmp_path / name, teacher, rows=make_rows(Split.TRAIN, 6))
        config = prepared.config(temperature=1.0, samples=3)
        run_here(prepared, config)
        drawn.append(texts(read_answers(prepared, config)))
    assert len(set(drawn[0].values())) > 6
    assert drawn[0] == drawn[1]


def test_dialogues_are_answered_turn_by_turn(tmp_path: Path, teacher: Path) -> None:
    prepared = make_prepared(
        tmp_path, teacher, rows=make_rows(Split.TRAIN, 8, turns=3), task=TaskName.CONVERSATION
    )
    config = prepared.config(max_tokens=32)
    run_here(prepared, config)
    rows = assert_whole(prepared, config)
    assert len(rows) == 24
    by_dialogue = {row.row_id: [r for r in rows if r.row_id == row.row_id] for row in rows}
    for turns in by_dialogue.values():
        assert [row.turn for row in turns] == [0, 1, 2]
        for before, after in itertools.pairwise(turns):
            if before.status == RowStatus.OK:
                assert after.num_prompt_tokens > before.num_prompt_tokens
            else:
                assert (after.status, after.reason) == (RowStatus.ERROR, EARLIER_TURN)


def test_two_engines_share_the_rows_and_answer_none_twice(tmp_path: Path, teacher: Path) -> None:
    prepared = make_prepared(tmp_path, teacher, rows=make_rows(Split.TRAIN, 60))
    engine = TransformersEngineSpec(dtype=Dtype.FLOAT32, batch_size=4, replicas=2)
    config = prepared.config(engine=engine)
    result = run_here(prepared, config)
    tokens = sum(row.num_tokens for row in assert_whole(prepared, config))
    assert read_ledger(ledger_folder(prepared, config)).tokens == tokens
    assert result.summary["numGenerated"] == 60


def test_prompt_beyond_the_window_ends_as_an_error_of_its_row(
    tmp_path: Path, teacher: Path
) -> None:
    rows = make_rows(Split.TRAIN, 6)
    rows[3] = replace(rows[3], messages=(Message(role="user", content="coins " * 400),))
    prepared = make_prepared(tmp_path, teacher, rows=rows)
    config = prepared.config()
    assert run_here(prepared, config).summary["engine"]["type"] == "transformers"
    failed = [row for row in assert_whole(prepared, config) if row.status == RowStatus.ERROR]
    assert [row.row_id for row in failed] == [rows[3].row_id]
    assert "prompt: must leave room for an answer in maxModelLen (256 tokens)" in failed[0].reason


def test_hopeless_answers_stop_the_job_and_are_shown_where_they_lie(
    tmp_path: Path, teacher: Path
) -> None:
    prepared = make_prepared(
        tmp_path, teacher, rows=make_rows(Split.TRAIN, 400), task=TaskName.MATH
    )
    config = prepared.config(min_success_ratio=0.9)
    with pytest.raises(
        SpecError,
        match=r"minSuccessRatio: train Vanilla can't reach 0\.9, got 0 of 16 usable .*rejected",
    ) as raised:
        run_here(prepared, config)
    assert raised.value.reason == "HopelessSuccessRatio"
    (path,) = (prepared.root / "storage").rglob("attempts/1/rejected.parquet")
    rejected = read_rows(path, RejectedRow)
    assert len(rejected) >= 16
    assert all(row.text for row in rejected)
    # What had been answered by then is kept, and far from everything was.
    tokens = read_ledger(ledger_folder(prepared, config)).tokens
    assert 0 < tokens < 300 * 16


def test_poison_row_is_quarantined_and_all_others_are_answered(
    tmp_path: Path, teacher: Path
) -> None:
    rows = make_rows(Split.TRAIN, 30)
    rows[17] = replace(rows[17], messages=(Message(role="user", content="poison"),))
    prepared = make_prepared(tmp_path, teacher, rows=rows)
    config = prepared.config()
    options = replace(FAST, engine_factory=make_fragile_engine)
    result = run_here(prepared, config, options)
    failed = [row for row in assert_whole(prepared, config) if row.status == RowStatus.ERROR]
    assert [(row.row_id, row.reason) for row in failed] == [(rows[17].row_id, POISON)]
    assert result.summary["numQuarantined"] == 1
    assert 2 <= result.summary["numEngineDeaths"] <= 3


def test_engines_that_die_at_every_prompt_fail_the_step(tmp_path: Path, teacher: Path) -> None:
    rows = [
        replace(row, messages=(Message(role="user", content=f"poison {row.row_id}"),))
        for row in make_rows(Split.TRAIN, 60)
    ]
    prepared = make_prepared(tmp_path, teacher, rows=rows)
    options = replace(FAST, engine_factory=make_fragile_engine)
    with pytest.raises(
        ExternalError, match=r"engine: died 4 times without an answer between, last with Actor"
    ) as raised:
        run_here(prepared, prepared.config(), options)
    assert raised.value.reason == "EngineFailed"


def test_template_that_changed_since_prepare_is_refused(tmp_path: Path, teacher: Path) -> None:
    prepared = make_prepared(tmp_path, teacher)
    config = prepared.config()
    pin = config.inputs.teacher.model_copy(update={"template_hash": "0" * 64})
    changed = config.model_copy(
        update={"inputs": config.inputs.model_copy(update={"teacher": pin})}
    )
    with pytest.raises(
        SpecError, match=r"chat template must be the one prepare pinned \(000000000000\), got "
    ) as raised:
        run_here(prepared, changed)
    assert raised.value.reason == "TemplateChanged"


def test_config_without_prepare_is_our_bug(tmp_path: Path, teacher: Path) -> None:
    prepared = make_prepared(tmp_path, teacher)
    config = prepared.config()
    context = config.context.model_copy(update={"upstream": {}})
    with pytest.raises(InvariantError, match="generate reads prepare's rows, got no upstream"):
        run_here(prepared, config.model_copy(update={"context": context}))


def test_lost_dispatcher_is_said_so() -> None:
    import ray

    actor = ray.remote(DispatcherActor).options(num_cpus=0).remote(lease_s=60)
    port = RayPort(actor, engine="e")
    assert not port.lease(limit=1, tokens=0).items
    ray.kill(actor)
    with pytest.raises(
        ExternalError, match=r"dispatcher: its process must live, got Actor\w+; run the job again"
    ) as raised:
        port.lease(limit=1, tokens=0)
    assert raised.value.reason == "DispatcherLost"


def test_killed_engine_is_replaced_and_nothing_is_missing(tmp_path: Path, teacher: Path) -> None:
    import psutil  # type: ignore[import-untyped]

    prepared = make_prepared(tmp_path, teacher, rows=make_rows(Split.TRAIN, 300))
    config = prepared.config(max_tokens=48)
    segments = prepared.root / "storage" / "teacher"
    killed: list[int] = []
    is_over = threading.Event()

    def kill_one() -> None:
        while not is_over.wait(0.01):
            if len(list(segments.rglob("segments/*.parquet"))) < 3:
                continue
            engines = [
                process
                for process in psutil.Process().children(recursive=True)
                if "ray::EngineActor" in " ".join(process.cmdline())
            ]
            # An engine of the test before may still be ending.
            newest = max(engines, key=psutil.Process.create_time)
            newest.kill()
            killed.append(newest.pid)
            return

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = run_here(prepared, config)
    is_over.set()
    killer.join()
    assert len(killed) == 1
    assert result.summary["numEngineDeaths"] == 1
    rows = assert_whole(prepared, config)
    assert {row.status for row in rows} <= {RowStatus.OK, RowStatus.TRUNCATED}


def test_engine_out_of_memory_is_said_so(tmp_path: Path, teacher: Path) -> None:
    prepared = make_prepared(tmp_path, teacher, rows=make_rows(Split.TRAIN, 4))
    engine = VllmEngineSpec(dtype=Dtype.FLOAT32, kv_cache_gib=1000.0, enforce_eager=True)
    with pytest.raises(
        ResourceError, match=r"kvCacheGib: must be below the machine's memory \(.* got 1000; lower"
    ) as raised:
        run_here(prepared, prepared.config(engine=engine))
    assert raised.value.reason == "EngineOutOfMemory"
