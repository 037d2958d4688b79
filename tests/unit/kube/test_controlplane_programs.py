"""How the real control plane's programs are found, started and stopped, shown on small ones."""

import os
import sys
import threading
from pathlib import Path

import pytest

from tests.controlplane import binaries, build, processes
from tests.controlplane.binaries import BuildFailedError, NoControlPlaneError, find_binaries
from tests.controlplane.processes import Program, ProgramFailedError, wait_until

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
FAKE_GO = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = -o ] && out="$2"; shift; done
echo "$CGO_ENABLED $(basename "$PWD") $1" >> "$GO_CALLS"
{then}
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(binaries.ASSETS_VARIABLE, raising=False)
    monkeypatch.setenv(binaries.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def write_go(folder: Path, *, then: str) -> None:
    path = folder / "bin" / "go"
    path.parent.mkdir()
    path.write_text(FAKE_GO.format(then=then))
    path.chmod(0o755)


def python(tmp_path: Path, code: str) -> Program:
    return Program([sys.executable, "-c", code], log=tmp_path / "log")


def test_without_go_and_assets_there_is_no_control_plane(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    want = (
        "no control plane: there is neither Go to build it with nor KUBEBUILDER_ASSETS; install "
        "Go, or name a folder with the programs there"
    )
    with pytest.raises(NoControlPlaneError, match=f"^{want}$"):
        find_binaries()
    assert build.main() == 0
    assert capsys.readouterr().err == want + "\n"


def test_assets_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(binaries.ASSETS_VARIABLE, str(tmp_path))
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch()
    want = (
        "no control plane: KUBEBUILDER_ASSETS names a folder without kube-controller-manager, got "
        f"{tmp_path}; unset it, and Go builds them"
    )
    with pytest.raises(NoControlPlaneError, match=f"^{want}$"):
        find_binaries()
    (tmp_path / "kube-controller-manager").touch()
    assert find_binaries() == tmp_path


def test_programs_are_built_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_go(tmp_path, then='echo built > "$out"')
    folder = find_binaries()
    assert folder.parent == tmp_path / "cache"
    assert folder.name.startswith(f"{binaries.KUBERNETES_VERSION}-")
    want = sorted([*binaries.PACKAGES, ".lock"])
    assert sorted(path.name for path in folder.iterdir()) == want
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [f"0 {module} {package}" for module, package in binaries.PACKAGES.values()]
    assert build.main() == 0
    assert capsys.readouterr().out == f"{folder}\n"
    assert len((tmp_path / "calls").read_text().splitlines()) == len(calls)


def test_two_who_want_the_programs_build_them_once(tmp_path: Path) -> None:
    write_go(tmp_path, then='sleep 0.1; echo built > "$out"')
    threads = [threading.Thread(target=find_binaries) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "calls").read_text().splitlines()) == len(binaries.PACKAGES)


def test_a_build_that_fails_is_no_skip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_go(tmp_path, then="echo no such module >&2; exit 1")
    with pytest.raises(
        BuildFailedError, match=r"^building kube-apiserver failed:\nno such module\n$"
    ):
        find_binaries()
    assert build.main() == 1
    assert "building kube-apiserver failed:" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "cache").glob("*/*")] == [".lock"]


def test_a_program_that_does_not_end_when_asked_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STOP_TIMEOUT_S", 0.2)
    program = python(tmp_path, STUBBORN)
    program.start()
    wait_until(lambda: "up" in program.log_tail(), programs=[program], what="up")
    process = program._process
    assert process is not None
    program.stop()
    assert process.returncode == -9
    program.stop()
    assert not program.has_ended


def test_a_program_that_ends_by_itself_shows_its_log(tmp_path: Path) -> None:
    program = python(tmp_path, "print('address already in use')")
    program.start()
    name = os.path.basename(sys.executable)
    want = rf"^{name} ended \(never\):\naddress already in use\n$"
    try:
        with pytest.raises(ProgramFailedError, match=want):
            wait_until(lambda: False, programs=[program], what="never")
    finally:
        program.stop()


def test_waiting_ends_with_all_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "START_TIMEOUT_S", 0.2)
    program = python(tmp_path, STUBBORN)
    with pytest.raises(ProgramFailedError, match=r"^not in 0.2 s: never\npython[0-9.]*:\n$"):
        wait_until(lambda: False, programs=[program], what="never")
