"""The frame of every stage: skips finished work, commits last, tells failures as outcomes."""

import json
import logging
from pathlib import Path

import pytest

from distillery.errors import (
    DistilleryError,
    ExternalError,
    InvariantError,
    ResourceError,
    SpecError,
    TransientError,
)
from distillery.manifests import Artefact, ManifestRef, StepManifest
from distillery.progress import Outcome, OutcomeState, StepRecord, parse_record
from distillery.stage_configs import CurateConfig, GenerateConfig, PrepareConfig
from distillery.step_configs import TEACHER_PIN, Known, Place, build_config
from distillery.steps import CURATE, GENERATE, PREPARE
from ray_jobs.step import StepResult, StepTools, commit_step, find_manifest, main, read_manifest
from ray_jobs.storage.opening import open_storage
from tests.builders import make_job
from tests.rows import make_pin, make_prepare_config, make_ref, write_config
from tests.servers.config_map import running_config_maps
from tests.servers.seaweedfs import credentials_environment


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """A curate config whose storage is a folder of the test."""
    job = make_job(storage__uri=(tmp_path / "store").as_uri())
    known = Known(
        pins={TEACHER_PIN: make_pin("teacher")},
        manifests={PREPARE.id: make_ref("p"), GENERATE.id: make_ref("g")},
    )
    config = build_config(
        CURATE, job, known, place=Place(scratch_dir=str(tmp_path / "scratch")), attempt=1
    )
    return write_config(tmp_path / "config.json", config)


def config_of(path: Path) -> CurateConfig:
    return CurateConfig.model_validate_json(path.read_text())


def last_outcome(capsys: pytest.CaptureFixture[str]) -> Outcome:
    outcome = parse_record(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(outcome, Outcome)
    return outcome


def test_manifest_is_written_last_and_named_in_the_outcome(
    config_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(config_path)

    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        assert find_manifest(tools.storage, config.context.prefix) is None
        assert tools.scratch.is_dir()
        artefact = Artefact(path="a", size_bytes=1, sha256="00")
        return StepResult(
            artefacts=[artefact], summary={"rows": 3}, packages=["pydantic"], verdict={"v": 1}
        )

    code = main(CurateConfig, run, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert (code, outcome.state, outcome.summary) == (0, OutcomeState.SUCCEEDED, {"v": 1})
    assert outcome.manifest is not None
    storage = open_storage(config.context.storage.uri)
    manifest = read_manifest(storage, outcome.manifest)
    assert outcome.manifest.prefix == config.context.prefix
    assert (manifest.step, manifest.summary) == ("curate", {"rows": 3})
    assert manifest.input_hash == config.context.input_hash
    assert manifest.inputs == {"prepare": "ef" * 32, "generate": "ef" * 32}
    assert list(manifest.versions) == ["pydantic"]


def test_finished_step_exits_at_once(config_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        return StepResult()

    def refuse(config: CurateConfig, tools: StepTools) -> StepResult:
        raise AssertionError

    main(CurateConfig, run, ["--config", str(config_path)])
    first = last_outcome(capsys)
    code = main(CurateConfig, refuse, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert (code, outcome.reason, outcome.manifest) == (0, "AlreadyFinished", first.manifest)


def test_step_that_committed_itself_is_believed(
    config_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = make_ref("elsewhere")

    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        return StepResult(committed=ref)

    main(CurateConfig, run, ["--config", str(config_path)])

    assert last_outcome(capsys).manifest == ref
    config = config_of(config_path)
    assert find_manifest(open_storage(config.context.storage.uri), config.context.prefix) is None


def test_first_of_two_attempts_counts(tmp_path: Path) -> None:
    storage = open_storage(tmp_path.as_uri())

    def manifest(rows: int) -> StepManifest:
        return StepManifest(
            job="j",
            namespace="n",
            step="s",
            input_hash="1",
            artefacts=(),
            versions={},
            inputs={},
            summary={"rows": rows},
        )

    first = commit_step(storage, prefix="s/1", manifest=manifest(1))
    second = commit_step(storage, prefix="s/1", manifest=manifest(2))

    assert first == second
    assert read_manifest(storage, first).summary == {"rows": 1}


def test_manifest_that_changed_is_refused(tmp_path: Path) -> None:
    storage = open_storage(tmp_path.as_uri())
    storage.put_bytes("s/1/manifest.json", b"{}")

    with pytest.raises(ExternalError, match="is not the manifest this step was sent; run the job"):
        read_manifest(storage, ManifestRef(prefix="s/1", sha256="00"))


@pytest.mark.parametrize(
    ("error", "is_retriable"),
    [
        pytest.param(SpecError("a: wrong", reason="Wrong"), False, id="spec"),
        pytest.param(TransientError("a: wrong", reason="Wrong"), True, id="transient"),
        pytest.param(ExternalError("a: wrong", reason="Wrong"), True, id="external"),
        pytest.param(ResourceError("a: wrong", reason="Wrong"), False, id="resource"),
    ],
)
def test_error_is_told_as_an_outcome(
    config_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: DistilleryError,
    is_retriable: bool,
) -> None:
    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        raise error

    code = main(CurateConfig, run, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert code == 1
    assert (outcome.state, outcome.reason, outcome.message, outcome.retriable) == (
        OutcomeState.FAILED,
        "Wrong",
        "a: wrong",
        is_retriable,
    )


def test_unexpected_error_shows_no_text_of_its_own(
    config_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        raise ZeroDivisionError("document text")

    main(CurateConfig, run, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert outcome.reason == "UnexpectedError"
    assert outcome.message == "ZeroDivisionError; the traceback is in this step's log"


def test_our_bug_is_not_tried_again(config_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        raise InvariantError("x: can't be")

    main(CurateConfig, run, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert (outcome.reason, outcome.retriable) == ("Bug", False)


@pytest.mark.parametrize(
    ("document", "want"),
    [
        pytest.param(
            None,
            "step config: is for another stage, got curate; run python -m ray_jobs.curate",
            id="another stage",
        ),
        pytest.param("{", "step config: ", id="no JSON"),
        pytest.param(
            '{"stage": "generate"}',
            "step config: generate.context is wrong; pass the "
            "document the controller built, with --config or the environment",
            id="fields missing",
        ),
    ],
)
def test_unreadable_config_is_told(
    config_path: Path, capsys: pytest.CaptureFixture[str], document: str | None, want: str
) -> None:
    def refuse(config: GenerateConfig, tools: StepTools) -> StepResult:
        raise AssertionError

    if document is not None:
        config_path.write_text(document)
    code = main(GenerateConfig, refuse, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert (code, outcome.reason) == (1, "ConfigUnreadable")
    assert outcome.message.startswith(want)


def test_missing_config_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(config: GenerateConfig, tools: StepTools) -> StepResult:
        raise AssertionError

    code = main(GenerateConfig, refuse, ["--config", str(tmp_path / "gone.json")])

    outcome = last_outcome(capsys)
    assert (code, outcome.reason) == (1, "ConfigUnreadable")
    assert outcome.message.startswith(f"{tmp_path}/gone.json: no readable config file, got ")


def test_outcome_summary_of_a_step_without_verdict_is_empty(
    config_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        return StepResult(summary={"text": "x" * 20_000})

    main(CurateConfig, run, ["--config", str(config_path)])

    assert json.dumps(last_outcome(capsys).summary) == "{}"


def test_outcome_that_is_too_large_is_our_bug_and_nothing_is_committed(
    config_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: CurateConfig, tools: StepTools) -> StepResult:
        return StepResult(verdict={"text": "x" * 8192})

    code = main(CurateConfig, run, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert (code, outcome.reason, outcome.summary) == (1, "Bug", {})
    assert outcome.message == ("curate: its outcome's summary must be within 8192 bytes, got 8204")
    config = config_of(config_path)
    assert find_manifest(open_storage(config.context.storage.uri), config.context.prefix) is None


def test_outcome_reaches_the_job_s_config_map(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    with running_config_maps(account) as server:
        host, _, port = server.url.removeprefix("https://").rpartition(":")
        for name, value in {
            "DISTILLERY_PROGRESS_CONFIG_MAP": "sums-progress",
            "DISTILLERY_NAMESPACE": "team",
            "DISTILLERY_STEP": "curate",
            "DISTILLERY_ATTEMPT": "3",
            "DISTILLERY_SUBMISSION_ID": "sums-curat-1-3",
            "DISTILLERY_SERVICE_ACCOUNT_DIR": str(account),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        }.items():
            monkeypatch.setenv(name, value)

        code = main(CurateConfig, lambda *_: StepResult(), ["--config", str(config_path)])
        record = StepRecord.model_validate_json(server.data["curate"])

    assert code == 0
    assert (record.attempt, record.submission_id) == (3, "sums-curat-1-3")
    assert record.outcome is not None
    assert record.outcome.state == OutcomeState.SUCCEEDED
    config = config_of(config_path)
    storage = open_storage(config.context.storage.uri)
    assert record.outcome.manifest == find_manifest(storage, config.context.prefix)


def test_step_that_can_t_report_as_it_was_told_does_no_work(
    config_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: CurateConfig, tools: StepTools) -> StepResult:
        raise AssertionError

    monkeypatch.setenv("DISTILLERY_PROGRESS_CONFIG_MAP", "sums-progress")
    code = main(CurateConfig, refuse, ["--config", str(config_path)])

    outcome = last_outcome(capsys)
    assert (code, outcome.reason) == (1, "Bug")
    assert outcome.message.startswith("DISTILLERY_NAMESPACE: must be set beside ")


def test_named_credential_that_isn_t_mounted_here_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(
        storage={
            "uri": "s3://models/x",
            "endpointUrl": "http://127.0.0.1:9",
            "credentialsRef": "bucket",
        },
        credentials=[{"name": "bucket", "kind": "S3", "secretRef": {"name": "bucket"}}],
    )
    place = Place(scratch_dir=str(tmp_path))
    known = Known(
        pins={TEACHER_PIN: make_pin("teacher")},
        manifests={PREPARE.id: make_ref("p"), GENERATE.id: make_ref("g")},
    )
    config = build_config(CURATE, job, known, place=place, attempt=1)
    path = write_config(tmp_path / "config.json", config)
    for name, value in credentials_environment("key", "secret").items():
        monkeypatch.setenv(name, value)

    with caplog.at_level(logging.INFO, logger="ray_jobs"):
        main(CurateConfig, lambda *_: StepResult(), ["--config", str(path)])

    told = [record.getMessage() for record in caplog.records if "mounted" in record.getMessage()]
    assert told == [
        "no credentials are mounted here, the surroundings' are used credentials_ref=bucket"
    ]


def test_credential_without_its_keys_stops_the_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(
        storage={"uri": "s3://models/x", "credentialsRef": "bucket"},
        credentials=[{"name": "bucket", "kind": "S3", "secretRef": {"name": "bucket"}}],
    )
    config = make_prepare_config(tmp_path, job)
    path = write_config(tmp_path / "config.json", config)
    monkeypatch.setenv("DISTILLERY_CREDENTIALS_DIR", str(tmp_path / "credentials"))

    main(PrepareConfig, lambda *_: StepResult(), ["--config", str(path)])

    outcome = last_outcome(capsys)
    assert (outcome.reason, outcome.retriable) == ("CredentialsMissing", False)
    assert outcome.message == (
        "storage.credentialsRef: credential bucket must be mounted in this pod, got no such "
        "folder; see spec.credentials and its Secret"
    )
