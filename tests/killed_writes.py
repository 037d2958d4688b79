"""A step killed before each of its writes in turn, until one attempt reaches the end.

``walk_kills`` starts this file as a process, which imports the stage once and forks an attempt a
write; a forked attempt kills itself (SIGKILL, nothing cleans up) as the write is about to begin.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery.manifests import StepManifest, sha256_hex
from distillery.stage_configs import StageConfig, parse_stage_config
from ray_jobs.step import main
from ray_jobs.storage.local import LocalStorage
from tests.processes import REPOSITORY
from tests.rows import write_config

_WRITES = ("put_bytes", "put_new", "put_file")


def walk_kills(config: StageConfig, folder: Path, store: Path) -> int:
    """Walks all kills; returns how many there were. ``store`` is the step's ``file://`` storage.

    After each kill every manifest in ``store`` must name whole artefacts alone, and until the
    attempt that reaches the end there must be no new manifest.
    """
    path = write_config(folder / "killed.json", config)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.killed_writes", config.stage, str(path), str(store)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return int(json.loads(ended.stdout.splitlines()[-1])["kills"])


def _walk(stage: str, config: str, store: Path) -> int:
    module = importlib.import_module(f"ray_jobs.{stage}.stage")
    config_type = type(parse_stage_config(Path(config).read_text("utf-8")))
    before = _whole_manifests(store)
    kills = 0
    while True:
        pid = os.fork()
        if pid == 0:
            _die_before(kills + 1)
            os._exit(main(config_type, module.run, ["--config", config]))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        found = _whole_manifests(store)
        if status == 0:
            assert len(found) > len(before), "the last attempt committed nothing"
            return kills
        assert status == -signal.SIGKILL, f"attempt {kills + 1} ended with {status}"
        assert found == before, f"write {kills + 1} was to come, and the step counts as finished"
        kills += 1


def _die_before(write: int) -> None:
    done = 0

    def dying(put: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == write:
                os.kill(os.getpid(), signal.SIGKILL)
            return put(*args, **options)

        return counted

    for name in _WRITES:
        setattr(LocalStorage, name, dying(getattr(LocalStorage, name)))


def _whole_manifests(store: Path) -> set[Path]:
    """Every manifest; what it names must be there, whole."""
    found = set(store.rglob("manifest.json"))
    for path in found:
        for artefact in StepManifest.model_validate_json(path.read_bytes()).artefacts:
            data = (path.parent / artefact.path).read_bytes()
            assert sha256_hex(data) == artefact.sha256, artefact.path
    return found


if __name__ == "__main__":
    num_kills = _walk(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    sys.stdout.write(json.dumps({"kills": num_kills}) + "\n")
