"""The launcher and its REST client against a real Ray."""

import sys
import time
from pathlib import Path

import pytest
import requests

from controller.launchers.local_cluster import ClusterRecord
from controller.launchers.owned_processes import find_processes
from controller.launchers.ray_jobs_api import RayJobsApi
from controller.launchers.ray_launcher import Observation, RayLauncher
from controller.plan.snapshot import Attempt, RayStatus
from distillery.errors import ExternalError, TransientError
from distillery.progress import Outcome, OutcomeState, outcome_line
from distillery.step_configs import Known, Place, build_config
from distillery.steps import PREPARE
from tests.attempts import make_attempt
from tests.builders import make_job

pytestmark = pytest.mark.heavy
DEADLINE_S = 60.0
PRINT_OUTCOME = f"print({outcome_line(Outcome(state=OutcomeState.SUCCEEDED, reason='Ö'))!r})"


def make_launcher(
    record: ClusterRecord, workdir: Path, script: str, *, local: bool = True
) -> RayLauncher:
    """A launcher whose every stage is ``script``."""
    return RayLauncher(
        RayJobsApi(record.address, token=record.read_token()),
        workdir=workdir,
        log_dir=record.log_dir if local else None,
        entrypoint=lambda stage: (sys.executable, "-c", script),
    )


def launch(launcher: RayLauncher, submission_id: str) -> Attempt:
    """An attempt at prepare, launched."""
    attempt = make_attempt("prepare", submission_id=submission_id)
    place = Place(scratch_dir="/scratch")
    config = build_config(PREPARE, make_job(), Known(), place=place, attempt=1)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            launcher.launch(attempt, config)
        except TransientError:
            # As the command's loop does: Ray on a busy machine isn't ready, or is silent a while.
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return attempt


def observe_end(launcher: RayLauncher, attempt: Attempt) -> Observation:
    """What is seen once the attempt has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := launcher.observe(attempt)).status.is_final:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return seen


@pytest.mark.parametrize("local", [True, False], ids=["log on this machine", "log by the API"])
def test_a_step_runs_and_its_outcome_is_read_from_the_log(
    ray_cluster: ClusterRecord, tmp_path: Path, local: bool
) -> None:
    script = (
        f"import os, ray_jobs; print(len(os.environ['DISTILLERY_STEP_CONFIG'])); {PRINT_OUTCOME}"
    )
    launcher = make_launcher(ray_cluster, tmp_path, script, local=local)
    attempt = launch(launcher, f"outcome-{local}")
    seen = observe_end(launcher, attempt)
    assert (seen.status, seen.outcome) == (
        RayStatus.SUCCEEDED,
        Outcome(state=OutcomeState.SUCCEEDED, reason="Ö"),
    )
    assert "distillery.outcome" in (tmp_path / "logs" / "prepare-1.log").read_text("utf-8")


def test_the_dashboard_names_a_step(ray_cluster: ClusterRecord, tmp_path: Path) -> None:
    launcher = make_launcher(ray_cluster, tmp_path, "")
    observe_end(launcher, launch(launcher, "named"))
    answer = requests.get(
        f"{ray_cluster.address}/api/jobs/named",
        headers={"Authorization": f"Bearer {ray_cluster.read_token()}"},
        timeout=10,
    )
    # Ray shows this key of the metadata as the job's name.
    assert answer.json()["metadata"]["job_name"] == "sums prepare attempt 1"


def test_a_submission_id_runs_once(ray_cluster: ClusterRecord, tmp_path: Path) -> None:
    script = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    launcher = make_launcher(ray_cluster, tmp_path, script)
    attempt = launch(launcher, "twice")
    launch(launcher, "twice")
    observe_end(launcher, attempt)
    launch(launcher, "twice")
    assert launcher.observe(attempt).status == RayStatus.SUCCEEDED
    assert (tmp_path / "runs").read_text() == "x"


def test_a_stopped_step_has_ended_and_stopping_again_is_harmless(
    ray_cluster: ClusterRecord, tmp_path: Path
) -> None:
    launcher = make_launcher(ray_cluster, tmp_path, "import time; time.sleep(600)  # stop-me")
    attempt = launch(launcher, "stop-me")
    deadline = time.monotonic() + DEADLINE_S
    while not find_processes("time.sleep(600)  # stop-me"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    launcher.stop(attempt)
    assert observe_end(launcher, attempt).status == RayStatus.STOPPED
    assert find_processes("time.sleep(600)  # stop-me") == set()
    launcher.stop(attempt)


def test_a_job_ray_never_saw_is_lost_and_its_old_log_stays(
    ray_cluster: ClusterRecord, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "prepare-1.log"
    log.parent.mkdir()
    log.write_text("from before")
    launcher = make_launcher(ray_cluster, tmp_path, "")
    attempt = make_attempt("prepare", submission_id="never")
    assert launcher.observe(attempt).status == RayStatus.LOST
    launcher.stop(attempt)
    assert log.read_text() == "from before"


def test_the_dashboard_answers_nobody_without_the_token(ray_cluster: ClusterRecord) -> None:
    for token in ("", "wrong"):
        api = RayJobsApi(ray_cluster.address, token=token)
        with pytest.raises(ExternalError, match="Ray refuses the token, got 40"):
            api.fetch_version()
        api.close()
