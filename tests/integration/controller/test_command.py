"""``distillery run`` on a Ray it starts itself, with scripted stages: ends, kills, interruptions."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.workdir import read_state
from controller.launchers.local_cluster import ClusterRecord, LocalCluster
from tests.builders import make_document
from tests.processes import REPOSITORY, wait_for

pytestmark = pytest.mark.heavy
DEADLINE_S = 240.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """A job file, a script for its stages, and what they and the command leave behind."""

    folder: Path
    commands: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def workdir(self) -> Path:
        return self.folder / "run"

    @property
    def journal(self) -> list[str]:
        """What was started (without attempt and pid) and done, in order."""
        path = self.folder / "journal"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [" ".join(line.split()[:2]) for line in lines]

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    def write_script(self, **steps: dict[str, Any]) -> None:
        script = {"journal": str(self.folder / "journal"), "steps": steps}
        (self.folder / "script.json").write_text(json.dumps(script), "utf-8")
        (self.folder / "job.yaml").write_text(yaml.safe_dump(make_document()), "utf-8")

    def command(self, *arguments: str) -> list[str]:
        product = ["run", "job.yaml", "--workdir", str(self.workdir), *arguments]
        script = str(self.folder / "script.json")
        return [sys.executable, "-m", "tests.servers.scripted_stage", script, *product]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.commands.append(command)
        return command

    def finish(self, *arguments: str) -> tuple[int, str]:
        command = self.start(*arguments)
        output, _ = command.communicate(timeout=DEADLINE_S)
        return command.returncode, output

    def kill_command_while_generating(self) -> ClusterRecord:
        """Leaves Ray and a running generate behind, as ``kill -9`` of the command does."""
        command = self.start()
        wait_for(command, lambda: "start generate" in self.journal)
        command.kill()
        command.communicate()
        text = (self.workdir / "cluster.json").read_text("utf-8")
        return ClusterRecord.model_validate_json(text)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder of its own, and no Ray left behind whatever the test came to."""
    place = Place(folder=tmp_path)
    yield place
    for command in place.commands:
        if command.poll() is None:
            command.kill()
            command.communicate()
    LocalCluster(tmp_path / "run", environ={}).clear()


def test_a_run_survives_a_dead_driver_and_ctrl_c_and_does_nothing_twice(place: Place) -> None:
    place.write_script(generate={"outcome": "die", "times": 1}, publish={"until": str(place.gate)})
    command = place.start()
    wait_for(command, lambda: "start publish" in place.journal)
    record = ClusterRecord.model_validate_json((place.workdir / "cluster.json").read_text("utf-8"))
    token = Path(record.token_path)
    assert token.stat().st_mode & 0o777 == 0o600
    command.send_signal(signal.SIGINT)
    output, _ = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 130
    assert f"Ray dashboard: {record.address} (token: {token})" in output
    assert "generate: backing off, its process ended without a word, Ray says FAILED" in output
    assert "interrupted; what was started is stopped, what was finished is kept" in output
    assert "go on with: distillery run job.yaml" in output
    assert record.find_processes() == set()
    assert not Path(record.temp_dir).exists()

    place.gate.touch()
    code, output = place.finish()
    assert code == 0, output
    assert "succeeded; report and results: file:///store/jobs/default/sums/publish/" in output
    assert place.journal.count("start generate") == 2
    again = place.journal[place.journal.index("start publish") + 1 :]
    assert again == ["start prepare", "start publish", "done publish"]
    log = (place.workdir / "logs" / "generate-2.log").read_text("utf-8")
    assert "distillery.outcome" in log
    assert (place.workdir / "attempts" / "generate-2" / "config.json").exists()


def test_a_job_that_outlives_the_killed_command_is_taken_over(place: Place) -> None:
    place.write_script(generate={"until": str(place.gate)})
    record = place.kill_command_while_generating()
    command = place.start()
    wait_for(
        command,
        lambda: any(each.adopted for each in read_state(place.workdir, job="sums").attempts),
    )
    place.gate.touch()
    output, _ = command.communicate(timeout=DEADLINE_S)
    assert command.returncode == 0, output
    assert "Ray still runs from before, taken over" in output
    assert "generate: still runs from before, taken over" in output
    assert place.journal.count("start generate") == 1
    assert not [line for line in place.journal if line.startswith("overlap")]
    assert place.journal.index("done generate") < len(place.journal) - 1 - place.journal[
        ::-1
    ].index("start prepare")
    assert record.find_processes() == set()


def test_a_job_of_another_job_file_is_stopped_before_anything_writes(place: Place) -> None:
    place.write_script(generate={"until": str(place.gate)}, curate={"outcome": "fail"})
    place.kill_command_while_generating()
    command = place.start("--set", "teacher.sampling.maxTokens=160")
    wait_for(command, lambda: place.journal.count("start generate") == 2)
    place.gate.touch()
    output, _ = command.communicate(timeout=DEADLINE_S)
    assert "generate: stopping attempt 1, the job file has changed" in output
    assert place.journal[-2:] == ["done generate", "start curate"], output
    assert not [line for line in place.journal if line.startswith("overlap")]


def test_everything_killed_leaves_nothing_that_keeps_the_next_run_from_work(place: Place) -> None:
    place.write_script(generate={"until": str(place.gate)}, curate={"outcome": "fail"})
    record = place.kill_command_while_generating()
    for pid in record.find_processes():
        os.kill(pid, signal.SIGKILL)
    place.gate.touch()
    code, output = place.finish()
    assert code == 1
    # Whoever had the gate seen before the kill has finished by then.
    assert place.journal[-1] == "start curate", output
    assert "done generate" in place.journal
    assert not [line for line in place.journal if line.startswith("overlap")]


def test_a_second_command_is_refused_and_a_failed_step_ends_the_first(place: Place) -> None:
    place.write_script(generate={"outcome": "fail", "until": str(place.gate)})
    first = place.start()
    wait_for(first, lambda: "start generate" in place.journal)
    code, output = place.finish()
    assert code == 1
    assert f"another run is at work here, got process {first.pid}" in output

    place.gate.touch()
    output, _ = first.communicate(timeout=DEADLINE_S)
    assert first.returncode == 1
    assert "generate failed (RowsMissing): was told to fail" in output
    assert "what to do: look at the example answers in the log" in output
    assert f"log: {place.workdir / 'logs' / 'generate-1.log'}" in output
