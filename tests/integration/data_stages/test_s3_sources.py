"""Data, models and storage on a real S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.errors import SpecError
from distillery.spec.job import StorageSpec
from distillery.spec.teacher import ModelRef
from distillery.verdicts import unpack_verdict
from ray_jobs.models import fetch_model, pin_model
from ray_jobs.storage.artefacts import upload_folder
from ray_jobs.storage.base import Storage
from ray_jobs.storage.opening import open_storage
from tests.builders import make_job
from tests.integration.data_stages.conftest import RunStage
from tests.rows import SPLITS, make_prepare_config, write_sums
from tests.servers.seaweedfs import S3Server, running_s3

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        running.create_bucket("bucket")
        yield running


@pytest.fixture
def spec(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> StorageSpec:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return StorageSpec(
        uri="s3://bucket/store", endpoint_url=server.endpoint_url, region="us-east-1"
    )


def open_at(spec: StorageSpec, uri: str) -> Storage:
    return open_storage(uri, endpoint_url=spec.endpoint_url, region=spec.region)


def test_job_on_s3_is_prepared(
    spec: StorageSpec, tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    write_sums(tmp_path / "data")
    upload_folder(open_at(spec, "s3://bucket/data"), "", tmp_path / "data")
    upload_folder(open_at(spec, "s3://bucket/model"), "", model_folder)
    job = make_job(
        **{f"dataset__{split}__uri": f"s3://bucket/data/{split}.jsonl" for split in SPLITS},
        teacher__model__uri="s3://bucket/model",
        students__0__model__uri="s3://bucket/model",
        storage=spec.dump(),
    )

    ran = run_stage(make_prepare_config(tmp_path, job))
    again = run_stage(make_prepare_config(tmp_path, job))

    assert ran.code == 0, ran.log
    verdict = unpack_verdict(ran.outcome.summary, job.spec)
    assert again.outcome.manifest == verdict.dataset
    assert open_at(spec, spec.uri).stat(f"{verdict.dataset.prefix}/manifest.json") is not None
    missing = job.model_copy(
        update={
            "spec": job.spec.model_copy(
                update={"storage": spec.model_copy(update={"uri": "s3://no-such-bucket/x"})}
            )
        }
    )
    assert run_stage(make_prepare_config(tmp_path, missing)).outcome.reason == "BucketMissing"


def test_model_on_s3_is_downloaded_once_and_refused_when_it_changed(
    spec: StorageSpec, tmp_path: Path, model_folder: Path
) -> None:
    source = open_at(spec, "s3://bucket/other-model")
    upload_folder(source, "", model_folder)
    ref = ModelRef(uri="s3://bucket/other-model")
    cache = tmp_path / "cache"
    pin = pin_model(ref, spec, cache)
    assert not list(cache.glob("*/model.safetensors"))

    folder = fetch_model(pin, spec, cache)
    source.put_bytes("config.json", b'{"model_type": "qwen2"}')

    assert fetch_model(pin, spec, cache) == folder
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in model_folder.iterdir()
    }
    assert not list(cache.glob("*.part"))
    with pytest.raises(SpecError, match="the model must stay as it was pinned"):
        fetch_model(pin, spec, tmp_path / "another")
    assert pin_model(ref, spec, cache).digest != pin.digest


def test_missing_model_and_data_on_s3_are_told(
    spec: StorageSpec, tmp_path: Path, model_folder: Path, run_stage: RunStage
) -> None:
    with pytest.raises(
        SpecError, match=r"s3://bucket/gone: a readable model is needed, got no conf"
    ):
        pin_model(ModelRef(uri="s3://bucket/gone"), spec, tmp_path)
    job = make_job(
        **{**write_sums(tmp_path), "dataset__train__uri": "s3://bucket/gone/train.jsonl"},
        storage=spec.dump(),
    )

    ran = run_stage(make_prepare_config(tmp_path, job))

    assert ran.outcome.reason == "DataUnreadable"
    assert ran.outcome.message.startswith(
        "dataset.train.uri: no such file, got s3://bucket/gone/train.jsonl; check the path"
    )
