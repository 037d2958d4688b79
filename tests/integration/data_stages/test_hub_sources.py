"""Models and data sets of a hub, served over HTTP by a server of the test."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.spec.job import DistillationJob
from distillery.summaries import DataSummary
from distillery.verdicts import unpack_verdict
from ray_jobs.records import GoldRow
from ray_jobs.step import read_manifest
from ray_jobs.storage.opening import open_storage
from ray_jobs.tables import load_rows
from tests.builders import make_job
from tests.integration.data_stages.conftest import RunStage
from tests.rows import SPLITS, make_prepare_config, write_sums
from tests.servers.hub import COMMIT, HubServer, running_hub

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def hub(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    data = tmp_path_factory.mktemp("dataset")
    write_sums(data)
    bare = tmp_path_factory.mktemp("bare")
    (bare / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with running_hub(
        models={"owner/model": model_folder, "owner/bare": bare}, datasets={"owner/sums": data}
    ) as server:
        yield server


def make_hub_job(folder: Path, **changes: str) -> DistillationJob:
    return make_job(
        **{
            **{f"dataset__{split}__uri": "hf://datasets/owner/sums" for split in SPLITS},
            "teacher__model__uri": "hf://owner/model",
            "students__0__model__uri": "hf://owner/model",
            "storage__uri": (folder / "store").as_uri(),
            **changes,
        }
    )


def test_job_of_the_hub_is_prepared_at_pinned_commits(
    hub: HubServer, tmp_path: Path, run_stage: RunStage
) -> None:
    job = make_hub_job(tmp_path)

    ran = run_stage(make_prepare_config(tmp_path, job), hub.environment(tmp_path / "cache"))

    assert ran.code == 0, ran.log
    verdict = unpack_verdict(ran.outcome.summary, job.spec)
    assert {pin.revision for pin in verdict.pins.values()} == {COMMIT}
    assert {pin.digest for pin in verdict.pins.values()} == {COMMIT}
    storage = open_storage(job.spec.storage.uri)
    manifest = read_manifest(storage, verdict.dataset)
    splits = DataSummary.model_validate(manifest.summary).splits
    assert {name: (one.digest, one.num_kept) for name, one in splits.items()} == {
        "train": (COMMIT, 45),
        "validation": (COMMIT, 42),
        "test": (COMMIT, 10),
    }
    gold = load_rows(
        storage,
        verdict.dataset.prefix,
        manifest,
        "gold/test.parquet",
        GoldRow,
        scratch=tmp_path,
    )
    assert [row.gold for row in gold] == [str(3 * number) for number in range(2000, 2010)]


@pytest.mark.parametrize(
    ("changes", "reason", "want"),
    [
        pytest.param(
            {"teacher__model__uri": "hf://owner/gone"},
            "ModelUnreadable",
            "hf://owner/gone@main: no such repository, or no right to read it, got "
            "RepositoryNotFoundError; check the name and the token in HF_TOKEN",
            id="no model",
        ),
        pytest.param(
            {"teacher__model__revision": "v9"},
            "ModelUnreadable",
            "hf://owner/model@v9: the hub has no such revision, got RevisionNotFoundError; name a "
            "branch, tag or commit",
            id="no revision",
        ),
        pytest.param(
            {"teacher__model__uri": "hf://owner/bare"},
            "ModelUnreadable",
            "hf://owner/bare: a readable model is needed, got no *.safetensors there; convert the "
            "weights with save_pretrained",
            id="no weights",
        ),
        pytest.param(
            {"teacher__model__uri": "hf://a/b/c"},
            "ModelUnreadable",
            "hf://a/b/c@main: must name a repository, got another form; write hf://owner/name",
            id="no name",
        ),
        pytest.param(
            {"dataset__test__uri": "hf://datasets/owner/gone"},
            "DataUnreadable",
            "hf://datasets/owner/gone@main: no such repository, or no right to read it, got "
            "RepositoryNotFoundError; check the name and the token in HF_TOKEN",
            id="no data set",
        ),
        pytest.param(
            {"dataset__test__split": "dev"},
            "DataUnreadable",
            "hf://datasets/owner/sums: no readable split 'dev' of configuration '', got ValueError; "
            "set split and config",
            id="no split",
        ),
    ],
)
def test_what_the_hub_has_not_is_told(
    hub: HubServer,
    tmp_path: Path,
    run_stage: RunStage,
    changes: dict[str, str],
    reason: str,
    want: str,
) -> None:
    config = make_prepare_config(tmp_path, make_hub_job(tmp_path, **changes))

    ran = run_stage(config, hub.environment(tmp_path / "cache"))

    assert (ran.code, ran.outcome.reason, ran.outcome.message) == (1, reason, want)


def test_hub_that_is_away_can_be_tried_again(
    hub: HubServer, tmp_path: Path, run_stage: RunStage
) -> None:
    environment = {**hub.environment(tmp_path / "cache"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    changes = {f"dataset__{split}__uri": uri for split, uri in local_data(tmp_path).items()}

    ran = run_stage(make_prepare_config(tmp_path, make_hub_job(tmp_path, **changes)), environment)

    assert (ran.outcome.reason, ran.outcome.retriable) == ("HubUnreachable", True)
    assert ran.outcome.message.startswith(
        "hf://owner/model@main: neither reachable nor in the cache"
    )


def local_data(folder: Path) -> dict[str, str]:
    write_sums(folder)
    return {split: (folder / f"{split}.jsonl").as_uri() for split in SPLITS}
