"""Processes that tests start: where they run, what is waited for, how all they started is killed."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

REPOSITORY = Path(__file__).parents[1]
POLL_S = 0.05


def wait_for(
    process: "subprocess.Popen[Any]", is_true: Callable[[], bool], *, limit_s: float = 300
) -> None:
    """Returns once it holds; fails when the process ends before, with what it printed to a pipe."""
    deadline = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < deadline, "nothing happened in time"
        try:
            code = process.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            continue
        if not is_true():
            pytest.fail(f"the process ended with {code}: {process.communicate()[0]}")


def kill_tree(pid: int) -> None:
    """Kills the process and everything it started, Ray's daemons included, without warning."""
    root = psutil.Process(pid)
    family = [root, *root.children(recursive=True)]
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=30)
