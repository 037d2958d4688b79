"""Prepare and curate as real processes: what they store, find finished, and never let out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from distillery.manifests import Artefact, ManifestRef, StepManifest
from distillery.spec.job import DistillationJob
from distillery.stage_configs import PrepareVerdict
from distillery.step_configs import Known, Place, build_config
from distillery.steps import CURATE, GENERATE, PREPARE, Step
from distillery.summaries import CurationSummary, DataSummary
from distillery.tasks import PromptVariant
from distillery.verdicts import unpack_verdict
from ray_jobs.curate.judging import CuratedRow
from ray_jobs.records import AnswerRow, GoldRow, PromptRow, RejectedRow, RowStatus, Split, TargetRow
from ray_jobs.step import commit_step, read_manifest
from ray_jobs.storage.base import Storage
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import load_rows, store_rows
from tests.builders import make_job
from tests.integration.data_stages.conftest import Ran, RunStage
from tests.killed_writes import walk_kills
from tests.rows import make_answer, make_prepare_config, sum_rows, write_sums

pytestmark = pytest.mark.heavy
MARKER = "424242"
"""A gold answer no row's words hold."""
CHAIN = '{{"reason": "they are added", "answer": "{}"}}'


def make_local_job(folder: Path, model: Path, **changes: Any) -> DistillationJob:
    return make_job(
        **{
            **write_sums(folder / "data", **changes.pop("rows", {})),
            "teacher__model__uri": model.as_uri(),
            "students__0__model__uri": model.as_uri(),
            "storage__uri": (folder / "store").as_uri(),
            **changes,
        }
    )


def prepare(run_stage: RunStage, folder: Path, job: DistillationJob) -> tuple[Ran, PrepareVerdict]:
    ran = run_stage(make_prepare_config(folder, job))
    assert ran.code == 0, ran.log
    return ran, unpack_verdict(ran.outcome.summary, job.spec)


def commit_answers(
    storage: Storage, prefix: str, answers: Sequence[AnswerRow], folder: Path
) -> ManifestRef:
    """Commits ``answers`` as generate does."""
    artefacts: list[Artefact] = []
    for split in (Split.TRAIN, Split.VALIDATION):
        for variant in (PromptVariant.VANILLA, PromptVariant.CHAIN_OF_THOUGHT):
            rows = [row for row in answers if (row.split, row.variant) == (split, variant)]
            path = f"answers/{split}-{variant}.parquet"
            artefacts.append(
                store_rows(storage, prefix, path, rows, AnswerRow, scratch=folder / "made")
            )
    manifest = StepManifest(
        job="sums",
        namespace="default",
        step="generate",
        input_hash=prefix.rpartition("/")[2],
        artefacts=tuple(artefacts),
        versions={},
        inputs={},
        summary={},
    )
    return commit_step(storage, prefix=prefix, manifest=manifest)


def config_for(step: Step, job: DistillationJob, verdict: PrepareVerdict, folder: Path) -> Any:
    known = Known(pins=verdict.pins, manifests={PREPARE.id: verdict.dataset, **verdict.finished})
    place = Place(scratch_dir=str(folder / "scratch"))
    return build_config(step, job, known, place=place, attempt=1)


def load(
    storage: Storage, ref: ManifestRef, path: str, row_type: type[Any], folder: Path
) -> list[Any]:
    manifest = read_manifest(storage, ref)
    return load_rows(storage, ref.prefix, manifest, path, row_type, scratch=folder / "loaded")


def answer_rows(storage: Storage, dataset: ManifestRef, folder: Path) -> list[AnswerRow]:
    """A teacher that counts coins and stones in the prompt; every ninth chain is no JSON."""
    answers = []
    for split in (Split.TRAIN, Split.VALIDATION):
        rows = load(storage, dataset, f"prompts/{split}.parquet", PromptRow, folder)
        for index, row in enumerate(rows):
            words = row.messages[-1].content.split()
            numbers = [word for word in words if word.isdecimal()]
            total = str(sum(int(number) for number in numbers))
            chain = "so many" if index % 9 == 8 else CHAIN.format(total)
            answers.append(make_answer(row.row_id, total, split=split))
            answers.append(
                make_answer(row.row_id, chain, split=split, variant=PromptVariant.CHAIN_OF_THOUGHT)
            )
    return answers


def test_prepare_stores_rows_gold_and_figures_and_is_quick_when_finished(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    job = make_local_job(tmp_path, model_folder, rows={"train": [*sum_rows(45), *sum_rows(1)]})
    _, verdict = prepare(run_stage, tmp_path, job)
    storage = open_storage(job.spec.storage.uri)
    stored = {found.key: found.etag for found in storage.list()}

    again, second = prepare(run_stage, tmp_path, job)

    assert second == verdict
    assert {found.key: found.etag for found in storage.list()} == stored
    assert "data is prepared already" in again.log
    prompts = load(storage, verdict.dataset, "prompts/train.parquet", PromptRow, tmp_path)
    gold = load(storage, verdict.dataset, "gold/train.parquet", GoldRow, tmp_path)
    assert [row.row_id for row in prompts] == [row.row_id for row in gold]
    assert [row.gold for row in gold] == [str(3 * number) for number in range(45)]
    summary = DataSummary.model_validate(read_manifest(storage, verdict.dataset).summary)
    assert summary.splits["train"].dropped == {"duplicate": 1}
    assert set(verdict.pins) == {"teacher", "students/small"}
    assert verdict.finished == {}
    assert not [key for key in stored if "probe-" in key]


def test_prepare_redoes_the_data_only_when_its_content_changed(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    job = make_local_job(tmp_path, model_folder)
    _, before = prepare(run_stage, tmp_path, job)
    write_sums(tmp_path / "data", train=sum_rows(46))

    _, after = prepare(run_stage, tmp_path, job)

    assert after.dataset.prefix != before.dataset.prefix


def test_finished_steps_are_found_until_their_inputs_change(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    job = make_local_job(tmp_path, model_folder)
    storage = open_storage(job.spec.storage.uri)
    _, verdict = prepare(run_stage, tmp_path, job)
    generate = config_for(GENERATE, job, verdict, tmp_path)
    answers = answer_rows(storage, verdict.dataset, tmp_path)
    made = commit_answers(storage, generate.context.prefix, answers, tmp_path)

    _, found = prepare(run_stage, tmp_path, job)
    curated = run_stage(config_for(CURATE, job, found, tmp_path))
    _, both = prepare(run_stage, tmp_path, job)
    hotter = make_local_job(tmp_path, model_folder, teacher__sampling__temperature=0.5)
    _, none = prepare(run_stage, tmp_path, hotter)

    assert found.finished == {"generate": made}
    assert both.finished == {"generate": made, "curate": curated.outcome.manifest}
    assert none.finished == {}
    assert none.dataset == verdict.dataset


def test_gold_of_the_test_is_found_in_no_prompt_target_or_log(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    test = [{**row, "answer": int(MARKER)} for row in sum_rows(10, start=2000)]
    job = make_local_job(
        tmp_path, model_folder, rows={"test": test}, students__0__arms=["Vanilla", "Gold"]
    )
    storage = open_storage(job.spec.storage.uri)
    prepared, verdict = prepare(run_stage, tmp_path, job)
    generate = config_for(GENERATE, job, verdict, tmp_path)
    answers = answer_rows(storage, verdict.dataset, tmp_path)
    made = commit_answers(storage, generate.context.prefix, answers, tmp_path)
    found = verdict.model_copy(update={"finished": {"generate": made}})

    curated = run_stage(config_for(CURATE, job, found, tmp_path))

    assert curated.code == 0, curated.log
    assert MARKER not in prepared.log + curated.log
    assert curated.outcome.manifest is not None
    holders = []
    for ref in (verdict.dataset, curated.outcome.manifest):
        manifest = read_manifest(storage, ref)
        assert MARKER not in json.dumps(manifest.summary)
        for artefact in manifest.artefacts:
            if MARKER in text_of(storage, f"{ref.prefix}/{artefact.path}", tmp_path):
                holders.append(f"{manifest.step}/{artefact.path}")
    assert holders == ["prepare/gold/test.parquet"]


def text_of(storage: Storage, key: str, folder: Path) -> str:
    """All values of a stored Parquet file, read by another way than the project's own."""
    import pyarrow.parquet as pq

    local = folder / "dump.parquet"
    storage.get_file(key, local)
    return str(pq.read_table(local).to_pylist())


def test_curate_builds_the_arms_and_accounts_for_every_row(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    job = make_local_job(tmp_path, model_folder)
    storage = open_storage(job.spec.storage.uri)
    _, verdict = prepare(run_stage, tmp_path, job)
    generate = config_for(GENERATE, job, verdict, tmp_path)
    answers = answer_rows(storage, verdict.dataset, tmp_path)
    made = commit_answers(storage, generate.context.prefix, answers, tmp_path)
    found = verdict.model_copy(update={"finished": {"generate": made}})

    ran = run_stage(config_for(CURATE, job, found, tmp_path))

    assert ran.code == 0, ran.log
    ref = ran.outcome.manifest
    assert ref is not None
    summary = CurationSummary.model_validate(read_manifest(storage, ref).summary)
    yields = {(one.split, one.variant): one for one in summary.yields}
    assert yields["train", "Vanilla"].num_ok == 45
    assert yields["train", "ChainOfThought"].statuses == {"ok": 40, "unparsable": 5}
    quality = {(one.split, one.variant): one for one in summary.label_quality}
    assert quality["train", "Vanilla"].accuracy == 1.0
    assert quality["train", "Vanilla"].num_common_rows == 40
    sets = {one.name: one for one in summary.target_sets}
    assert sets["Vanilla-AnswerOnly"].num_train == 45
    assert sets["ChainOfThought-AnswerOnly"].num_train_common == 40
    targets = load(
        storage, ref, "targets/ChainOfThought-AnswerOnly/train.parquet", TargetRow, tmp_path
    )
    prompts = load(storage, verdict.dataset, "prompts/train.parquet", PromptRow, tmp_path)
    by_id = {row.row_id: row for row in prompts}
    assert len(targets) == 40
    assert all(row.messages[:-1] == by_id[row.row_id].messages for row in targets)
    assert all(row.messages[-1].content.isdecimal() for row in targets)
    judged = load(storage, ref, "curated/train-ChainOfThought.parquet", CuratedRow, tmp_path)
    assert [row.row_id for row in judged] == [row.row_id for row in prompts]
    assert judged[0].reasons == ("they are added",)
    rejected = load(storage, ref, "rejected.parquet", RejectedRow, tmp_path)
    assert {row.text for row in rejected} == {"so many"}
    assert {row.status for row in rejected} == {RowStatus.UNPARSABLE}
    assert "so many" not in ran.log


def test_prepare_and_curate_killed_before_any_write_are_not_finished(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    job = make_local_job(tmp_path, model_folder)
    storage, store = open_storage(job.spec.storage.uri), tmp_path / "store"
    # 3 splits of prompts and gold at least, and the manifest.
    assert walk_kills(make_prepare_config(tmp_path, job), tmp_path, store) >= 5
    _, verdict = prepare(run_stage, tmp_path, job)
    generate = config_for(GENERATE, job, verdict, tmp_path)
    answers = answer_rows(storage, verdict.dataset, tmp_path)
    made = commit_answers(storage, generate.context.prefix, answers, tmp_path)
    found = verdict.model_copy(update={"finished": {"generate": made}})
    assert walk_kills(config_for(CURATE, job, found, tmp_path), tmp_path, store) >= 5


def test_too_few_usable_answers_stop_the_job_and_leave_the_examples(
    tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    job = make_local_job(tmp_path, model_folder, teacher__minSuccessRatio=0.95)
    storage = open_storage(job.spec.storage.uri)
    _, verdict = prepare(run_stage, tmp_path, job)
    generate = config_for(GENERATE, job, verdict, tmp_path)
    answers = answer_rows(storage, verdict.dataset, tmp_path)
    made = commit_answers(storage, generate.context.prefix, answers, tmp_path)
    found = verdict.model_copy(update={"finished": {"generate": made}})
    config = config_for(CURATE, job, found, tmp_path)

    ran = run_stage(config)

    assert (ran.code, ran.outcome.reason) == (1, "SuccessRatioTooLow")
    assert ran.outcome.message.startswith(
        "train ChainOfThought: usable answers must be at least 95% of the rows, got 40 of 45 "
        "(unparsable 5)\n"
    )
    examples = f"{config.context.prefix}/attempts/1/rejected.parquet"
    assert storage.uri_of(examples) in ran.outcome.message
    assert storage.stat(examples) is not None
    assert "so many" not in ran.log
    assert storage.stat(f"{config.context.prefix}/manifest.json") is None


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            {"teacher__model__uri": "file:///nowhere/model"}, "ModelUnreadable", id="model"
        ),
        pytest.param({"storage__uri": "file:///proc/store"}, None, id="storage"),
        pytest.param(
            {"dataset__test__uri": "file:///nowhere/test.jsonl"}, "DataUnreadable", id="data"
        ),
    ],
)
def test_prepare_refuses_what_it_can_not_use(
    tmp_path: Path,
    model_folder: Path,
    run_stage: RunStage,
    changes: dict[str, str],
    want: str | None,
) -> None:
    ran = run_stage(
        make_prepare_config(tmp_path, make_local_job(tmp_path, model_folder, **changes))
    )

    assert ran.code == 1
    assert want is None or ran.outcome.reason == want
    (uri,) = changes.values()
    assert uri.removeprefix("file://") in ran.outcome.message
    assert "Traceback" not in ran.log
