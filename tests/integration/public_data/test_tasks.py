"""Each task from its public data to a report, by the command, with a real small language model.

The teacher and the student are one model, trained for two steps: this shows that the path holds on
real text, and nothing about quality.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.tasks import TaskName
from tests.integration.public_data.slices import NUM_TEST, Slice, make_document, make_slice
from tests.servers.seaweedfs import running_s3

pytestmark = pytest.mark.data
LIMIT_S = 900


def run_command(folder: Path, document: dict[str, Any], environment: dict[str, str]) -> str:
    """``distillery run`` of the job; returns what it printed."""
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "controller.cli.main", "run", str(path), "--workdir", "run"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + _logs(folder)
    return ended.stdout


def assert_complete(piece: Slice, folder: Path, printed: str) -> dict[str, Any]:
    """Every row of the table is there, over all test rows; returns the results."""
    results: dict[str, Any] = json.loads((folder / "run" / "results.json").read_text("utf-8"))
    rows = {(row["student"], row["arm"]): row for row in results["trials"]}
    arms = {arm.value for arm in piece.arms}
    assert {arm for student, arm in rows if student == "teacher"} == arms
    assert {arm for student, arm in rows if student == "small"} >= {*arms, "Base"}
    assert {row["numRows"] for row in rows.values()} == {NUM_TEST}
    assert all(0 <= row["otherMetrics"]["unparsable_rate"] <= 1 for row in rows.values())
    assert all(row["ciLow"] <= row["value"] <= row["ciHigh"] for row in rows.values())
    report = (folder / "run" / "report.html").read_text("utf-8")
    assert report.count("<svg") + report.count("<img") >= 3
    assert "report: " in printed
    return results


@pytest.mark.parametrize("task", list(TaskName))
def test_a_task_runs_from_public_data_to_a_report(
    task: TaskName, data: Path, smollm2: Path, tmp_path: Path
) -> None:
    piece = make_slice(task, data, tmp_path / "data")
    store = tmp_path / "store"
    document = make_document(piece, model=smollm2, storage={"uri": str(store)})
    results = assert_complete(piece, tmp_path, run_command(tmp_path, document, {}))
    published = store / "jobs" / "default" / document["metadata"]["name"] / "publish"
    assert list(published.rglob("models/small/model/*.safetensors"))
    if task == TaskName.SUMMARIZATION:
        report = (tmp_path / "run" / "report.html").read_text("utf-8")
        assert "60 words" in report
    if task == TaskName.CONVERSATION:
        assert {row["arm"] for row in results["trials"]} <= {"Vanilla", "Base", "Constant"}


def test_a_task_runs_with_its_storage_in_s3(data: Path, smollm2: Path, tmp_path: Path) -> None:
    piece = make_slice(TaskName.NLU_QA, data, tmp_path / "data")
    (tmp_path / "s3").mkdir()
    with running_s3(tmp_path / "s3") as server:
        server.create_bucket("distilled")
        storage = {"uri": "s3://distilled/tests", "endpointUrl": server.endpoint_url}
        document = make_document(piece, model=smollm2, storage=storage)
        printed = run_command(tmp_path, document, server.environment)
        assert_complete(piece, tmp_path, printed)
        listed = server.client().list_objects_v2(Bucket="distilled", Prefix="tests/jobs/")
    keys = {entry["Key"].rpartition("/")[2] for entry in listed["Contents"]}
    assert {"manifest.json", "report.html", "results.json", "adapter_model.safetensors"} <= keys
    assert server.secret_key not in printed + _logs(tmp_path)


def _logs(folder: Path) -> str:
    return "".join(
        f"\n{path.name}:\n{path.read_text('utf-8')[-3000:]}"
        for path in sorted((folder / "run" / "logs").glob("*.log"))
    )
