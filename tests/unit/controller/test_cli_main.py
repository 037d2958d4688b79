"""The command's arguments, exit codes and messages that need no Ray."""

import io
from pathlib import Path

import pytest
import yaml

from controller.cli.main import main
from controller.cli.run import read_token
from controller.cli.workdir import RunState, locked_workdir, read_state, write_state
from distillery.errors import ExternalError, ResourceError, SpecError
from tests.attempts import make_attempt
from tests.builders import make_document


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    out, err = io.StringIO(), io.StringIO()
    return main(arguments, environ={}, out=out, err=err), out.getvalue(), err.getvalue()


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """A valid job file."""
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(make_document()), "utf-8")
    return path


def test_a_valid_file_is_said_to_be_valid(job_file: Path) -> None:
    code, out, _ = run("validate", str(job_file))
    assert (code, out) == (0, f"{job_file}: valid\n")


def test_all_problems_of_all_files_are_told_at_once(job_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    document = make_document(teacher__sampling__temperature=9)
    document["spec"]["retries"] = {"maxAttempts": 0}
    bad.write_text(yaml.safe_dump(document), "utf-8")
    code, out, err = run("validate", str(bad), str(job_file))
    assert code == 2
    assert out == f"{job_file}: valid\n"
    assert len(err.splitlines()) == 2
    assert f"{bad}: spec.teacher.sampling.temperature: " in err
    assert f"{bad}: spec.retries.maxAttempts: " in err


def test_run_refuses_a_bad_file_with_exit_code_2(job_file: Path) -> None:
    code, out, err = run("run", str(job_file), "--set", "retries.maxAttempts=0")
    assert (code, out) == (2, "")
    assert err.startswith("spec.retries.maxAttempts: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    code, _, err = run("run", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "none.yaml: can't be read, no such file or directory; name a Distill" in err


def test_an_override_counts_as_the_file_itself(job_file: Path) -> None:
    assert run("validate", str(job_file), "--set", "retries.maxAttempts=0")[0] == 2
    assert run("validate", str(job_file), "--set", "retries.maxAttempts=2")[0] == 0


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",)])
def test_help_and_version_are_there(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "distillery" in capsys.readouterr().out


def test_an_unreachable_cluster_ends_with_exit_code_1(job_file: Path, tmp_path: Path) -> None:
    code, _, err = run(
        "run",
        str(job_file),
        "--workdir",
        str(tmp_path / "w"),
        "--ray-address",
        "http://127.0.0.1:1",
    )
    assert code == 1
    assert "http://127.0.0.1:1: Ray doesn't answer" in err


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        locked_workdir(tmp_path),
        pytest.raises(ExternalError, match="another run is at work here"),
        locked_workdir(tmp_path),
    ):
        pass
    with locked_workdir(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            ResourceError, match=r"can't be written, .*; pass another folder with --workd"
        ),
        locked_workdir(tmp_path / "file" / "below"),
    ):
        pass


def test_state_is_read_back_as_written(tmp_path: Path) -> None:
    state = RunState(job="sums", attempts=(make_attempt("prepare"),), published="p")
    assert read_state(tmp_path, job="sums") == RunState(job="sums")
    write_state(tmp_path, state)
    assert read_state(tmp_path, job="sums") == state


def test_another_jobs_folder_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path, RunState(job="other"))
    with pytest.raises(SpecError, match="holds the run of another job, got 'other'; pass another"):
        read_state(tmp_path, job="sums")


def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"schemaVersion": 1')
    with pytest.raises(SpecError, match="is no state of this version; pass a new --workdir"):
        read_state(tmp_path, job="sums")


def test_the_token_is_found_where_ray_looks_for_it(tmp_path: Path) -> None:
    assert read_token({"RAY_AUTH_TOKEN": "a", "RAY_AUTH_TOKEN_PATH": "/none"}) == "a"
    (tmp_path / "token").write_text("b\n")
    assert read_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}) == "b"
    assert read_token({"HOME": str(tmp_path)}) == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("c")
    assert read_token({"HOME": str(tmp_path)}) == "c"
    with pytest.raises(SpecError, match="RAY_AUTH_TOKEN_PATH: can't be read, got '/none'"):
        read_token({"RAY_AUTH_TOKEN_PATH": "/none"})
