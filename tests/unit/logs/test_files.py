"""Which files of Ray's session are logs, and which belong together after rotation."""

from pathlib import Path

from ray_jobs.logs.files import find_logs

WORKER = "worker-5e9c1f-05000000-27910"


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def found(folder: Path) -> dict[str, list[str]]:
    return {
        name: [file.path.relative_to(folder).as_posix() for file in files]
        for name, files in find_logs(folder).items()
    }


def test_driver_workers_and_trainers_are_shipped_the_driver_first(tmp_path: Path) -> None:
    names = [
        "job-driver-sums-train-1-2.log",
        f"{WORKER}.err",
        f"{WORKER}.out",
        "raylet.out",
        "gcs_server.err",
        "train/ray-train-app-worker-68d8.log",
    ]
    write(tmp_path, *names)

    assert found(tmp_path) == {name: [name] for name in names}
    assert next(iter(found(tmp_path))) == names[0]


def test_what_may_show_environments_or_configuration_is_left_alone(tmp_path: Path) -> None:
    write(
        tmp_path,
        "runtime_env_setup-05000000.log",
        "runtime_env_agent.log",
        "monitor.log",
        "dashboard.log",
        "dashboard_agent.log",
        "debug_state.txt",
        "events/event_JOBS.log",
        "export_events/e.log",
        "serve/controller.log",
        "python-core-driver-05.log",
        "raylet.out.gz",
    )
    assert found(tmp_path) == {}


def test_rotated_files_are_one_log_the_oldest_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        "job-driver-a.log",
        "job-driver-a.log.1",
        "job-driver-a.log.2",
        "job-driver-a.log.10",
        f"{WORKER}.1.out",
        f"{WORKER}.out",
        f"old/{WORKER}.2.out",
    )
    assert found(tmp_path) == {
        "job-driver-a.log": [
            "job-driver-a.log.10",
            "job-driver-a.log.2",
            "job-driver-a.log.1",
            "job-driver-a.log",
        ],
        f"{WORKER}.out": [f"old/{WORKER}.2.out", f"{WORKER}.1.out", f"{WORKER}.out"],
    }


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "secret")
    (tmp_path / "raylet.out").symlink_to(tmp_path / "secret")
    (tmp_path / "raylet.err").symlink_to(tmp_path / "gone")
    assert found(tmp_path) == {}


def test_a_session_that_is_not_there_yet_has_no_logs(tmp_path: Path) -> None:
    assert find_logs(tmp_path / "session_latest" / "logs") == {}
